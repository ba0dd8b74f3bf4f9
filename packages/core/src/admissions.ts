import { addressKey } from './address-key.ts';
import type { Clock } from './clock.ts';
import { type RateLimit, RateLimiter } from './rate-limiter.ts';

/** Keys that the rate of strangers is kept for. About 150 bytes each. */
const MAX_KEYS = 20_000;

/** How many connections a listener takes. What counts as one address is said by {@link addressKey}. */
export interface AdmissionLimits {
  /** Connections in all, and of one address. */
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Connections of strangers, who have not proven yet what they must prove here, in all and of one address. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
  /** New connections of one address that end as strangers; each costs us its handshake. */
  readonly strangerRate?: RateLimit;
  /** Whether a newcomer takes the place of the oldest stranger of its own address, for where all share one. @default false */
  readonly replacesOldest?: boolean;
}

/** One admitted connection. */
export interface Admission {
  /** It has proven what it must: it is no stranger any more. */
  settle(): void;
  /** It has ended. Safe to call twice. */
  leave(): void;
}

interface Caller {
  readonly address: Address;
  readonly cut: () => void;
  isStranger: boolean;
  isGone: boolean;
}

interface Address {
  readonly key: string;
  open: number;
  /** In order of their coming. */
  readonly strangers: Set<Caller>;
}

/**
 * Who may connect to a listener. Its state is bounded by the connections that it admits. Where places run out, those who hold
 * the most of them lose theirs: an address that floods us pushes out itself and not the others. Pure: it gets a clock and
 * decides, and the owner of the sockets obeys.
 */
export class Admissions {
  readonly #limits: AdmissionLimits;
  readonly #rate: RateLimiter | undefined;
  readonly #addresses = new Map<string, Address>();
  #open = 0;
  #strangers = 0;

  constructor({ limits, clock }: { limits: AdmissionLimits; clock: Clock }) {
    this.#limits = limits;
    const { strangerRate } = limits;
    if (strangerRate !== undefined) this.#rate = new RateLimiter({ limit: strangerRate, maxKeys: MAX_KEYS, clock });
  }

  /** Connections that are open, and how many of them are strangers'. */
  get counts(): { readonly connections: number; readonly strangers: number } {
    return { connections: this.#open, strangers: this.#strangers };
  }

  /** Takes a new connection from `address`, or `undefined`: cut it at once. `cut` ends it later, to make a place for another. */
  admit(address: string | undefined, { cut }: { cut: () => void }): Admission | undefined {
    const key = addressKey(address);
    const own = this.#addresses.get(key) ?? { key, open: 0, strangers: new Set() };
    if (this.#rate?.take(key) === false) return undefined;
    if (!this.#hasPlace(own)) {
      this.#rate?.giveBack(key);
      return undefined;
    }
    this.#addresses.set(key, own);
    const caller: Caller = { address: own, cut, isStranger: true, isGone: false };
    own.open += 1;
    own.strangers.add(caller);
    this.#open += 1;
    this.#strangers += 1;
    return { settle: () => this.#settle(caller), leave: () => this.#leave(caller) };
  }

  #hasPlace(own: Address): boolean {
    const { connections, connectionsPerAddress, strangers, strangersPerAddress, replacesOldest = false } = this.#limits;
    const isOwnFull = own.open >= connectionsPerAddress || own.strangers.size >= strangersPerAddress;
    if (isOwnFull && !(replacesOldest && this.#cutOldest(own))) return false;
    if (this.#open < connections && this.#strangers < strangers) return true;
    return this.#cutOldest(this.#greediest(own));
  }

  /** The address with the most strangers, if a newcomer of `own` would still have fewer. */
  #greediest(own: Address): Address | undefined {
    let most: Address | undefined;
    for (const address of this.#addresses.values()) {
      if (address.strangers.size > (most?.strangers.size ?? own.strangers.size + 1)) most = address;
    }
    return most ?? (this.#limits.replacesOldest === true ? own : undefined);
  }

  #cutOldest(address: Address | undefined): boolean {
    for (const caller of address?.strangers ?? []) {
      this.#leave(caller);
      caller.cut();
      return true;
    }
    return false;
  }

  #settle(caller: Caller): void {
    if (!caller.isStranger || caller.isGone) return;
    this.#forgetStranger(caller);
    this.#rate?.giveBack(caller.address.key);
  }

  #leave(caller: Caller): void {
    if (caller.isGone) return;
    caller.isGone = true;
    if (caller.isStranger) this.#forgetStranger(caller);
    const { address } = caller;
    address.open -= 1;
    this.#open -= 1;
    if (address.open === 0) this.#addresses.delete(address.key);
  }

  #forgetStranger(caller: Caller): void {
    caller.isStranger = false;
    caller.address.strangers.delete(caller);
    this.#strangers -= 1;
  }
}
