import type { DatabaseSync } from 'node:sqlite';
import {
  AppError,
  type Clock,
  type Digest,
  type ProvenRight,
  parseDigest,
  parseRegistryHost,
  parseRepository,
  type RegistryHost,
  type Repository,
  type Revocation,
  Revocations,
} from '@sealift/core';
import { REFRESH_GRACE_MS, TRADE_MS } from '../right/grant-policy.ts';
import type { PushVersion } from './push-version.ts';

/**
 * How long a revocation counts, in ms. None of the grants that it is about is refreshed, so by then each has ended, and it
 * cannot be exchanged for another any more.
 */
const LIFE_MS = TRADE_MS + REFRESH_GRACE_MS;

/** Revocations at the same time: at 650 bytes at most they fit, with denied nodes and peers, into what a node reads. */
const MAX_REVOCATIONS = 256;

/** Which rights an operator takes back. */
export interface RevokedRight {
  readonly registry: RegistryHost;
  readonly repository: Repository;
  /** This blob only. */
  readonly digest?: Digest | undefined;
}

/** Rights that were taken back. Held in memory, as the deny list is, and pushed with it. */
export class RevocationList {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #version: PushVersion;
  readonly #listeners = new Set<(added: readonly Revocation[]) => void>();
  #loadedVersion = -1;
  #all: readonly Revocation[] = [];
  #revocations = new Revocations();

  constructor({ database, clock, version }: { database: DatabaseSync; clock: Clock; version: PushVersion }) {
    this.#database = database;
    this.#clock = clock;
    this.#version = version;
    this.refresh();
  }

  /** Takes back what was proven up to now. Throws `REVOCATIONS_FULL`. */
  revoke({ registry, repository, digest }: RevokedRight): Revocation {
    const now = this.#clock.now();
    // Grants say in whole seconds when the right was proven, rounded down: those of this second go too.
    const provenBefore = (Math.floor(now / 1000) + 1) * 1000;
    this.#version.change(() => {
      this.#database.prepare('DELETE FROM revoked WHERE proven_before <= ?').run(now - LIFE_MS);
      this.#database
        .prepare('DELETE FROM revoked WHERE registry = ? AND repository = ? AND (digest = ? OR ?)')
        .run(registry, repository, digest ?? '', digest === undefined ? 1 : 0);
      this.#database
        .prepare('INSERT INTO revoked VALUES (?, ?, ?, ?)')
        .run(registry, repository, digest ?? '', provenBefore);
      const count = Number(this.#database.prepare('SELECT count(*) AS count FROM revoked').get()?.['count']);
      if (count > MAX_REVOCATIONS) {
        throw new AppError('REVOCATIONS_FULL', {
          limit: MAX_REVOCATIONS,
          advice: 'Revoke whole repositories instead of single blobs, or deny nodes.',
        });
      }
      return true;
    });
    this.refresh();
    return { registry, repository, ...(digest === undefined ? {} : { digest }), provenBefore };
  }

  /** Whether a right was taken back, whoever did it. */
  covers(right: ProvenRight): boolean {
    this.refresh();
    return this.#revocations.covers(right);
  }

  /** Those that count still, the latest last. */
  list(): readonly Revocation[] {
    this.refresh();
    const now = this.#clock.now();
    return this.#all.filter((revocation) => endOfRevocation(revocation) > now);
  }

  /** Calls `listener` when revocations are noticed; returns how to stop that. */
  onAdded(listener: (added: readonly Revocation[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes over what another process has changed. */
  refresh(): void {
    const version = this.#version.current;
    if (version === this.#loadedVersion) return;
    this.#loadedVersion = version;
    const known = new Set(this.#all.map(nameOf));
    this.#all = this.#database.prepare('SELECT * FROM revoked ORDER BY proven_before').all().map(revocationOf);
    this.#revocations = new Revocations(this.#all);
    const added = this.#all.filter((revocation) => !known.has(nameOf(revocation)));
    if (added.length > 0) for (const listener of this.#listeners) listener(added);
  }
}

/** When a revocation ends by itself, in ms. */
export function endOfRevocation({ provenBefore }: Revocation): number {
  return provenBefore + LIFE_MS;
}

function revocationOf(row: Record<string, unknown>): Revocation {
  const digest = String(row['digest']);
  return {
    registry: parseRegistryHost(String(row['registry'])),
    repository: parseRepository(String(row['repository'])),
    ...(digest === '' ? {} : { digest: parseDigest(digest) }),
    provenBefore: Number(row['proven_before']),
  };
}

function nameOf({ registry, repository, digest, provenBefore }: Revocation): string {
  return `${provenBefore} ${registry} ${repository} ${digest ?? ''}`;
}
