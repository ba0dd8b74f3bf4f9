import type { GrantClaims } from '@sealift/tracker-api';
import type { TokenCheck } from './ports.ts';
import type { Session } from './session.ts';

/**
 * The registry tokens of one connection (`tokenCheck: registry`): ours, shown to a granted peer that demands it and has
 * something we want, and the peer's, which is verified before the peer gets a block. Without a {@link TokenCheck} nothing
 * is shown and nothing is demanded.
 */
export class TokenExchange {
  readonly #session: Session;
  readonly #check: TokenCheck | undefined;
  readonly #onProven: () => void;
  readonly #onRefused: (error: unknown) => void;
  #shown: string | undefined;
  /** The token that the peer has shown last, as long as it is not verified: a key may still be learnt. */
  #pending: string | undefined;
  #isVerifying = false;

  constructor(options: {
    session: Session;
    check: TokenCheck | undefined;
    /** The peer may receive blocks from now on. */
    onProven: () => void;
    onRefused: (error: unknown) => void;
  }) {
    this.#session = options.session;
    this.#check = options.check;
    this.#onProven = options.onProven;
    this.#onRefused = options.onRefused;
  }

  /** The token to show with our grant now; `undefined` if none is to be shown. */
  get own(): string | undefined {
    const { isTokenDemanded, isInterested, swarmId, phase } = this.#session;
    if (phase !== 'open' || !isTokenDemanded || !isInterested || swarmId === undefined) return undefined;
    return this.#check?.tokenFor(swarmId);
  }

  /** {@link own} if the peer has not seen it yet. */
  get news(): string | undefined {
    const { own } = this;
    return own === this.#shown ? undefined : own;
  }

  /** The peer is shown this token. */
  noteShown(token: string | undefined): void {
    this.#shown = token ?? this.#shown;
  }

  /** Takes a token that the peer shows; a later one takes its place. */
  take(token: string): void {
    if (this.#check === undefined) return;
    this.#pending = token;
    this.retry();
  }

  /** Verifies what waits, again after a key was learnt. One at a time. */
  retry(): void {
    const { claims } = this.#session;
    const token = this.#pending;
    if (this.#check === undefined || token === undefined || claims === undefined || this.#isVerifying) return;
    this.#isVerifying = true;
    this.#verify(this.#check, token, claims)
      .catch(this.#onRefused)
      .finally(() => {
        this.#isVerifying = false;
        // Another came while this one was being verified.
        if (this.#pending !== undefined && this.#pending !== token) this.retry();
      });
  }

  async #verify(check: TokenCheck, token: string, claims: GrantClaims): Promise<void> {
    await check.verify(token, claims);
    if (this.#pending === token) this.#pending = undefined;
    this.#session.proveToken(claims);
    if (this.#session.mayReceive) this.#onProven();
  }
}
