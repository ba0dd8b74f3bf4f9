import { type Clock, RateLimiter } from '@sealift/core';
import type { AuditEvent, AuditFields, AuditWriter } from './audit-log.ts';

/** Lines about one asker: enough for an honest one that tries again, too few to push the history out of the log. */
const LIMIT = { burst: 20, perSecond: 1 };
/** Askers whose lines are counted; about 150 bytes each. */
const MAX_ASKERS = 20_000;

/**
 * Writes down whom the tracker sent away, but no more than so often: the log has a quota, and whoever could fill it could
 * make it forget. The next line that is written says how many were left out.
 */
export class RefusalTrace {
  readonly #audit: AuditWriter;
  readonly #limiter: RateLimiter;
  #unlisted = 0;

  constructor({ audit, clock }: { audit: AuditWriter; clock: Clock }) {
    this.#audit = audit;
    this.#limiter = new RateLimiter({ limit: LIMIT, maxKeys: MAX_ASKERS, clock });
  }

  /** Writes a refusal of `asker`, a node id or an address. */
  record(asker: string, event: AuditEvent, fields: AuditFields): void {
    if (!this.#limiter.take(asker)) {
      this.#unlisted += 1;
      return;
    }
    this.#audit.record(event, this.#unlisted === 0 ? fields : { ...fields, unlistedBefore: this.#unlisted });
    this.#unlisted = 0;
  }
}
