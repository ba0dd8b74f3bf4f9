import type { TLSSocket } from 'node:tls';
import { AppError, type Clock, type ClusterId, isAppError, RateLimiter } from '@sealift/core';
import { type Identity, identityOfSocket } from '@sealift/pki';
import type { FastifyRequest } from 'fastify';
import type { AuditWriter } from '../audit-log.ts';
import type { DenyList } from '../state/deny-list.ts';
import type { SwarmCas } from '../state/swarm-cas.ts';

/** One line a minute for each denied node: it must not fill the disk with its attempts. */
const AUDIT_LIMIT = { burst: 1, perSecond: 1 / 60 };

/** Says who is at the other end of a connection. Nothing in a request can change that. */
export class ClientIdentity {
  readonly #clusterId: ClusterId;
  readonly #denyList: DenyList;
  readonly #cas: Pick<SwarmCas, 'trusts'>;
  readonly #clock: Clock;
  readonly #audit: AuditWriter;
  readonly #auditLimit: RateLimiter;
  /** A certificate does not change during a connection, so it is read once; its end is checked at each request. */
  readonly #known = new WeakMap<object, Identity>();

  constructor({
    clusterId,
    denyList,
    cas,
    clock,
    audit,
  }: {
    clusterId: ClusterId;
    denyList: DenyList;
    cas: Pick<SwarmCas, 'trusts'>;
    clock: Clock;
    audit: AuditWriter;
  }) {
    this.#audit = audit;
    this.#auditLimit = new RateLimiter({ limit: AUDIT_LIMIT, maxKeys: 1_000, clock });
    this.#clusterId = clusterId;
    this.#denyList = denyList;
    this.#cas = cas;
    this.#clock = clock;
  }

  /** The node that asks; throws `CERT_REQUIRED` without a good certificate, `NODE_DENIED` for a node that is out. */
  demand(request: FastifyRequest): Identity {
    const identity = this.#read(request.raw.socket);
    // The connection may be older than the end of the CA that it was verified with.
    if (!this.#cas.trusts(identity.issuer)) throw new AppError('CERT_REQUIRED', { reason: 'its CA is retired' });
    if (!this.#denyList.has(identity.id)) return identity;
    if (this.#auditLimit.take(identity.id)) this.#audit.record('denied_node_refused', { nodeId: identity.id });
    throw new AppError('NODE_DENIED', { nodeId: identity.id });
  }

  /** The node that asks, or `undefined` without a good certificate; throws `NODE_DENIED`. */
  find(request: FastifyRequest): Identity | undefined {
    try {
      return this.demand(request);
    } catch (error) {
      if (isAppError(error, 'CERT_REQUIRED')) return undefined;
      throw error;
    }
  }

  #read(socket: object): Identity {
    const known = this.#known.get(socket);
    if (known !== undefined && known.notAfter > this.#clock.now()) return known;
    try {
      const expected = { clusterId: this.#clusterId, roles: ['node'], clock: this.#clock } as const;
      const identity = identityOfSocket(socket as TLSSocket, expected);
      this.#known.set(socket, identity);
      return identity;
    } catch (cause) {
      if (isAppError(cause, 'CERTIFICATE_REJECTED')) throw new AppError('CERT_REQUIRED', {}, { cause });
      throw cause;
    }
  }
}
