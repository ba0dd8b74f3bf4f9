import type { Clock } from '@sealift/core';
import type { PeerLimits } from './limits.ts';

/** Longest wait, in ms, for a peer that was just connected to show what it has. */
const SHOW_MS = 500;
/** How long an `unknown` of the tracker holds, in ms: it may be on its way up again, with the seeder in it. */
const UNKNOWN_MS = 2_000;

/** What the tracker said when it was asked once more for the blob of a reader. */
export type AskedAgain =
  /** The seeder has it, or reads it again. */
  | 'offered'
  /** There is nobody to get it from. */
  | 'nobody'
  /** It did not answer, or not to this reader. */
  | 'unknown';

/** How a swarm looks to those who wait. */
export interface Outlook {
  /** No connected peer has anything that we lack. */
  readonly isLonely: boolean;
  /** A seeder is connected: whatever it reads next, it shows us. */
  readonly hasSeeder: boolean;
  readonly isDialling: boolean;
  /** The tracker has named others that we are not connected to, and nobody is at any of their addresses. */
  readonly areAllGone: boolean;
}

/** What to do now. */
export type NextStep = 'wait' | 'announce' | 'ask-again' | 'announce-again' | 'give-up';

type State = 'waiting' | 'announcing' | 'answered' | 'asking' | 'offered' | 'reannouncing' | 'reanswered' | 'settled';

/**
 * How long the readers of a swarm go on to wait. As long as there is progress, and no longer than it takes to learn that
 * there can be none: once nobody who is connected has anything for them, the tracker is asked who is left, then whether the
 * seeder can read the blob again, and those whom it names are dialled. Pure.
 */
export class ReaderPatience {
  readonly #clock: Clock;
  readonly #limits: Pick<PeerLimits, 'lonelyStallTimeoutMs' | 'whoIsLeftMs' | 'maxPieceMs'>;
  #progressAt: number;
  #blockAt: number;
  #state: State = 'waiting';
  #since: number;
  #hasDialled = false;
  /** The tracker has said that there is nobody. */
  #isHopeless = false;

  constructor({
    clock,
    limits,
  }: {
    clock: Clock;
    limits: Pick<PeerLimits, 'lonelyStallTimeoutMs' | 'whoIsLeftMs' | 'maxPieceMs'>;
  }) {
    this.#clock = clock;
    this.#limits = limits;
    this.#progressAt = clock.now();
    this.#blockAt = this.#progressAt;
    this.#since = this.#progressAt;
  }

  /**
   * When there was progress last, in ms. Blocks count before their piece is whole: on a slow link that takes long. But not
   * for ever, since nobody knows yet whether they are true.
   */
  get progressAt(): number {
    this.#heedClock();
    return Math.max(this.#progressAt, Math.min(this.#blockAt, this.#progressAt + this.#limits.maxPieceMs));
  }

  /** A piece was verified, or the seeder's signed word came. */
  progressed(): void {
    this.#progressAt = this.#clock.now();
    this.#become('waiting');
  }

  /** A block came that was asked for. */
  received(): void {
    this.#blockAt = this.#clock.now();
  }

  /** The tracker has answered an announce; `isEmpty` if it names nobody but us. */
  answered({ isEmpty }: { isEmpty: boolean }): void {
    if (this.#state === 'announcing' || (this.#state === 'waiting' && isEmpty)) this.#become('answered');
    else if (this.#state === 'reannouncing') this.#become('reanswered');
  }

  /** What came of {@link next} saying `ask-again`. */
  askedAgain(said: AskedAgain): void {
    if (this.#state !== 'asking') return;
    this.#isHopeless = said === 'nobody';
    this.#become(said === 'offered' ? 'offered' : 'settled');
  }

  /** To be asked a few times a second while somebody waits. */
  next(outlook: Outlook): NextStep {
    this.#heedClock();
    if (!outlook.isLonely) {
      this.#become('waiting');
      return 'wait';
    }
    if (outlook.isDialling) {
      this.#hasDialled = true;
      this.#since = this.#clock.now();
      return this.#state === 'offered' ? this.#announceAgain() : 'wait';
    }
    const quietMs = this.#clock.now() - this.progressAt;
    switch (this.#state) {
      case 'waiting': {
        const { lonelyStallTimeoutMs, whoIsLeftMs } = this.#limits;
        if (quietMs < (outlook.hasSeeder ? lonelyStallTimeoutMs : whoIsLeftMs)) return 'wait';
        this.#become('announcing');
        return 'announce';
      }
      case 'answered':
        if (!this.#hasShownAll) return 'wait';
        this.#become('asking');
        return 'ask-again';
      case 'offered':
        return this.#announceAgain();
      case 'reanswered':
        return this.#hasShownAll && outlook.areAllGone ? 'give-up' : 'wait';
      case 'settled':
        if (this.#isHopeless) return 'give-up';
        if (this.#clock.now() - this.#since < UNKNOWN_MS) return 'wait';
        this.#become('asking');
        return 'ask-again';
      default:
        return 'wait';
    }
  }

  /** Nobody waits any more. */
  rest(): void {
    this.#become('waiting');
  }

  #announceAgain(): NextStep {
    this.#become('reannouncing');
    return 'announce-again';
  }

  /** Whoever was dialled has had the time to show what it has. */
  get #hasShownAll(): boolean {
    return !this.#hasDialled || this.#clock.now() - this.#since >= SHOW_MS;
  }

  /** A clock that was set back would have readers wait until it shows again what it showed before. */
  #heedClock(): void {
    const now = this.#clock.now();
    this.#progressAt = Math.min(this.#progressAt, now);
    this.#blockAt = Math.min(this.#blockAt, now);
    this.#since = Math.min(this.#since, now);
  }

  #become(state: State): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#since = this.#clock.now();
    this.#hasDialled = false;
  }
}
