import type { Logger } from '@sealift/core';
import type { AuditWriter } from './audit-log.ts';
import type { NodeTable } from './state/node-table.ts';
import type { SwarmCas } from './state/swarm-cas.ts';

/** How often a rotation is looked at, in ms; it costs one read of the database. */
const CHECK_MS = 1_000;

/**
 * Carries a rotation on that `sealift ca rotate` has begun: the next CA signs as soon as every node trusts it, so that no
 * node meets a certificate which it cannot verify. To retire the old one is the operator's word.
 */
export class CaRotation {
  readonly #cas: SwarmCas;
  readonly #nodes: Pick<NodeTable, 'unawareOf'>;
  readonly #audit: AuditWriter;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;

  constructor({
    cas,
    nodes,
    audit,
    log,
  }: {
    cas: SwarmCas;
    nodes: Pick<NodeTable, 'unawareOf'>;
    audit: AuditWriter;
    log: Logger;
  }) {
    this.#cas = cas;
    this.#nodes = nodes;
    this.#audit = audit;
    this.#log = log;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#work ??= this.step()
        .catch((error: unknown) => this.#log.error('ca_rotation_failed', { error }))
        .finally(() => {
          this.#work = undefined;
        });
    }, CHECK_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#work;
  }

  /** Takes over what another process did, or else goes one stage on if it is time. */
  async step(): Promise<void> {
    const { stage } = this.#cas;
    // What listens to the change, the seeder in this process among them, needs its turn before the next stage.
    if (await this.#cas.refresh()) {
      this.#log.info('ca_changed', {
        stage: this.#cas.stage,
        before: stage,
        fingerprint: this.#cas.newest.fingerprint,
      });
      return;
    }
    if (stage !== 'introduced' || this.#nodes.unawareOf(this.#cas.version).nodes > 0) return;
    if (!(await this.#cas.activate())) return;
    const { fingerprint } = this.#cas.issuing;
    this.#audit.record('ca_activated', { fingerprint });
    this.#log.info('ca_changed', { stage: this.#cas.stage, before: stage, fingerprint });
  }
}
