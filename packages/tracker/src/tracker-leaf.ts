import type { Server } from 'node:https';
import type { Clock, Logger } from '@sealift/core';
import { trackerServerOptions } from '@sealift/pki';
import type { Authority } from './authority.ts';

/** Share of its life after which the leaf is replaced. */
const RENEW_AT = 2 / 3;
/** Pause after a renewal that failed, in ms. There are hours left then. */
const RETRY_MS = 60_000;

type Leaf = Awaited<ReturnType<Authority['issueTrackerLeaf']>>;

/** Keeps the tracker's own certificate alive: made at start, replaced in the running server long before it ends. */
export class TrackerLeaf {
  readonly #authority: Pick<Authority, 'issueTrackerLeaf'>;
  readonly #names: { dnsNames: readonly string[]; ipAddresses: readonly string[] };
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #server: Pick<Server, 'setSecureContext'> | undefined;
  #notAfter = 0;

  constructor({
    authority,
    names,
    clock,
    log,
  }: {
    authority: Pick<Authority, 'issueTrackerLeaf'>;
    names: { dnsNames: readonly string[]; ipAddresses: readonly string[] };
    clock: Clock;
    log: Logger;
  }) {
    this.#authority = authority;
    this.#names = names;
    this.#clock = clock;
    this.#log = log;
  }

  /** A fresh leaf, to make a server with. */
  async issue(): Promise<Leaf['tls']> {
    const { tls, notAfter } = await this.#authority.issueTrackerLeaf(this.#names);
    this.#notAfter = notAfter;
    return tls;
  }

  /** Replaces the leaf of `server` from now on, each time two thirds of its life are over. */
  keepAlive(server: Pick<Server, 'setSecureContext'>): void {
    this.#server = server;
    this.#schedule((this.#notAfter - this.#clock.now()) * RENEW_AT);
  }

  /** Replaces it now, because the trusted CAs have changed. */
  replace(): void {
    if (this.#server !== undefined) this.#schedule(0);
  }

  stop(): void {
    this.#server = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#renew(), delayMs);
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    const timer = this.#timer;
    let delayMs = RETRY_MS;
    try {
      // For new connections; open ones keep what they have verified.
      this.#server?.setSecureContext(trackerServerOptions(await this.issue()));
      delayMs = (this.#notAfter - this.#clock.now()) * RENEW_AT;
      this.#log.info('certificate_renewed', { role: 'tracker', notAfter: this.#notAfter });
    } catch (error) {
      this.#log.error('certificate_renewal_failed', { role: 'tracker', error });
    }
    // Unless it was stopped, or is to be replaced again, meanwhile.
    if (this.#timer === timer) this.#schedule(delayMs);
  }
}
