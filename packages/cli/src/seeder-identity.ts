import { X509Certificate } from 'node:crypto';
import { AppError, type Clock, type Logger } from '@sealift/core';
import type { IdentitySource, NodeCredentials } from '@sealift/peer';
import { createSigningRequest, identityOfCertificate } from '@sealift/pki';
import type { Authority } from '@sealift/tracker';
import type { Service } from './service-stack.ts';

/** Share of a certificate's life after which it is renewed. */
const RENEW_AT = 2 / 3;
/** Pause after a failed renewal, in ms. The authority is in this process, so only a full disk is likely. */
const RETRY_MS = 10_000;

/** The certificate of the seeder in the tracker's own process: issued without a network, renewed with a fresh key. */
export class SeederIdentity implements IdentitySource, Service {
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  #credentials: NodeCredentials | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor({ authority, clock, log }: { authority: Authority; clock: Clock; log: Logger }) {
    this.#authority = authority;
    this.#clock = clock;
    this.#log = log;
  }

  async start(): Promise<void> {
    if (this.#credentials === undefined) await this.#issue();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  current(): NodeCredentials {
    if (this.#credentials === undefined) throw new AppError('CERT_REQUIRED', { reason: 'the seeder is not started' });
    return this.#credentials;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #issue(): Promise<void> {
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const { certificate, cluster } = await this.#authority.issueSeederIdentity(csrPem);
    const identity = identityOfCertificate(new X509Certificate(certificate));
    const tls = { trustAnchors: cluster.trustAnchors, certificatePem: certificate, privateKeyPem };
    this.#credentials = Object.freeze({ identity, tls, cluster });
    for (const listener of this.#listeners) listener();
    this.#schedule((identity.notAfter - this.#clock.now()) * RENEW_AT);
  }

  /** Takes a new certificate now, because the trusted CAs have changed. */
  replace(): void {
    if (this.#credentials !== undefined) this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#issue().catch((error: unknown) => {
        this.#log.error('certificate_renewal_failed', { error });
        this.#schedule(RETRY_MS);
      });
    }, delayMs);
    this.#timer.unref();
  }
}
