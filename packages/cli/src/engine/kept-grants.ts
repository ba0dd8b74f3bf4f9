import type { EngineMessage, FrontMessage } from './engine-messages.ts';

/** Grants kept at most, about a KiB each: more blobs than these come back with the next request for them. */
const MAX_GRANTS = 4096;

type GrantMessage = Extract<EngineMessage, { type: 'grant' }>;
type KeptGrant = Extract<FrontMessage, { type: 'kept-grant' }>;

/**
 * The grants of an engine, for the next one: without them it would give none of its blobs to others until its own runtime
 * asks for it again. They are bound to the certificate, which is handed on as well, and end by themselves.
 */
export class KeptGrants {
  /** From the least to the most recently told of. */
  readonly #kept = new Map<string, KeptGrant>();

  /** The engine has another grant for a swarm, or none any more. */
  take({ swarmId, grant, expiresAt }: GrantMessage): void {
    this.#kept.delete(swarmId);
    if (grant === undefined) return;
    this.#kept.set(swarmId, { type: 'kept-grant', swarmId, grant, expiresAt });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_GRANTS && oldest !== undefined) this.#kept.delete(oldest);
  }

  /** What to tell the next engine before it begins. */
  messages(): Iterable<KeptGrant> {
    return this.#kept.values();
  }
}
