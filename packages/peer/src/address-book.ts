import type { Clock } from '@sealift/core';

/** An address that the tracker handed out. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  /** The peer id that the certificate found there must have, in hex; `undefined` if the tracker gave none. */
  readonly peerId: string | undefined;
}

interface Entry {
  readonly address: PeerAddress;
  failures: number;
  nextAttemptAt: number;
  isInUse: boolean;
  /** Nobody was there when it was dialled last. */
  isGone: boolean;
}

/**
 * The addresses of one swarm and when each may be dialled again. Failures back off with jitter, so that a host that comes
 * back is not met by everybody at once. Pure.
 */
export class AddressBook {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #maxAddresses: number;
  readonly #backoffMs: number;
  readonly #maxBackoffMs: number;

  constructor({
    clock,
    random,
    maxAddresses,
    backoffMs,
    maxBackoffMs,
  }: {
    clock: Clock;
    random: () => number;
    maxAddresses: number;
    backoffMs: number;
    maxBackoffMs: number;
  }) {
    this.#clock = clock;
    this.#random = random;
    this.#maxAddresses = maxAddresses;
    this.#backoffMs = backoffMs;
    this.#maxBackoffMs = maxBackoffMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Learns an address. A full book forgets one that failed, or else the one it has known longest. */
  add(address: PeerAddress): void {
    const key = keyOf(address);
    const known = this.#entries.get(key);
    if (known !== undefined && known.address.peerId === address.peerId) return;
    if (known === undefined && this.#entries.size >= this.#maxAddresses && !this.#makeRoom()) return;
    const isInUse = known?.isInUse ?? false;
    this.#entries.set(key, { address, failures: 0, nextAttemptAt: this.#clock.now(), isInUse, isGone: false });
  }

  /** An address to dial now, chosen at random among those whose time has come; it counts as in use until reported. */
  next(isWanted: (address: PeerAddress) => boolean): PeerAddress | undefined {
    const now = this.#clock.now();
    const ready = [...this.#entries.values()].filter(
      (entry) => !entry.isInUse && entry.nextAttemptAt <= now && isWanted(entry.address),
    );
    const entry = ready[Math.floor(this.#random() * ready.length)];
    if (entry === undefined) return undefined;
    entry.isInUse = true;
    return entry.address;
  }

  /** There are such addresses that are not in use, and nobody is at any of them. */
  areAllGone(isWanted: (address: PeerAddress) => boolean): boolean {
    const idle = [...this.#entries.values()].filter((entry) => !entry.isInUse && isWanted(entry.address));
    return idle.length > 0 && idle.every(({ isGone }) => isGone);
  }

  /** The dial or the connection failed; `isGone` if there is no such host, or nobody who listens. */
  failed(address: PeerAddress, { isGone = false } = {}): void {
    const entry = this.#entries.get(keyOf(address));
    if (entry === undefined) return;
    entry.isInUse = false;
    entry.isGone = isGone;
    const backoff = Math.min(this.#backoffMs * 2 ** entry.failures, this.#maxBackoffMs);
    entry.failures += 1;
    entry.nextAttemptAt = this.#clock.now() + backoff * (0.5 + this.#random() / 2);
  }

  /** The connection ended without anybody's fault. */
  ended(address: PeerAddress): void {
    const entry = this.#entries.get(keyOf(address));
    if (entry === undefined) return;
    entry.isInUse = false;
    entry.failures = 0;
    entry.isGone = false;
    entry.nextAttemptAt = this.#clock.now() + this.#backoffMs * this.#random();
  }

  /** There is nobody for us at this address. */
  forget(address: PeerAddress): void {
    this.#entries.delete(keyOf(address));
  }

  #makeRoom(): boolean {
    const idle = [...this.#entries].filter(([, entry]) => !entry.isInUse);
    const victim = idle.find(([, entry]) => entry.failures > 0) ?? idle[0];
    return victim !== undefined && this.#entries.delete(victim[0]);
  }
}

function keyOf({ host, port }: PeerAddress): string {
  return `${host} ${port}`;
}
