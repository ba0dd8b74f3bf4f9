import type { DatabaseSync } from 'node:sqlite';
import { type Clock, type NodeId, parseNodeId } from '@sealift/core';
import { MAX_CERTIFICATE_TTL_MS } from '../certificate-ttl.ts';
import type { PushVersion } from './push-version.ts';

/** Ids pushed to nodes at most, the latest first: they and 50 peers fit well into the 1 MiB that a node reads. */
const MAX_PUSHED = 8_000;

/** Added to the longest life of a certificate, in ms, for one that was being issued at the moment of the denial. */
const MARGIN_MS = 60_000;

/** One denial. */
export interface Denial {
  readonly nodeId: NodeId;
  readonly reason: string;
  /** In ms. */
  readonly deniedAt: number;
}

/** Who came onto the list and who left it. */
export interface DenyListChange {
  readonly added: readonly Denial[];
  readonly removed: readonly NodeId[];
}

/**
 * The nodes that are out: no renewal, no grant, no announce. Held in memory, and read again when another process has
 * changed it.
 */
export class DenyList {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #version: PushVersion;
  readonly #listeners = new Set<(change: DenyListChange) => void>();
  #loadedVersion = -1;
  #denials = new Map<NodeId, Denial>();

  constructor({ database, clock, version }: { database: DatabaseSync; clock: Clock; version: PushVersion }) {
    this.#database = database;
    this.#clock = clock;
    this.#version = version;
    this.refresh();
  }

  /** Whether the node is out, whoever put it on the list. */
  has(nodeId: NodeId): boolean {
    this.refresh();
    return this.#denials.has(nodeId);
  }

  /** Puts a node on the list; `false` if it was there. */
  deny(nodeId: NodeId, { reason = '' }: { reason?: string } = {}): boolean {
    return this.#change(() =>
      this.#database
        .prepare('INSERT OR IGNORE INTO denied VALUES (?, ?, ?)')
        .run(nodeId, reason.slice(0, 200), this.#clock.now()),
    );
  }

  /** Takes a node off the list; `false` if it was not there. */
  allow(nodeId: NodeId): boolean {
    return this.#change(() => this.#database.prepare('DELETE FROM denied WHERE node_id = ?').run(nodeId));
  }

  list(): readonly Denial[] {
    this.refresh();
    return [...this.#denials.values()];
  }

  /** Whom peers have to know: the nodes that can still hold a certificate from before they were denied. */
  pushed(): readonly NodeId[] {
    this.refresh();
    const since = this.#clock.now() - MAX_CERTIFICATE_TTL_MS - MARGIN_MS;
    return [...this.#denials.values()]
      .filter(({ deniedAt }) => deniedAt > since)
      .sort((a, b) => b.deniedAt - a.deniedAt)
      .slice(0, MAX_PUSHED)
      .map(({ nodeId }) => nodeId);
  }

  /** Calls `listener` when a change is noticed; returns how to stop that. */
  onChange(listener: (change: DenyListChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes over what another process has changed. */
  refresh(): void {
    if (this.#version.current !== this.#loadedVersion) this.#load();
  }

  #change(write: () => { changes: number | bigint }): boolean {
    const isChanged = this.#version.change(() => Number(write().changes) > 0);
    this.refresh();
    return isChanged;
  }

  #load(): void {
    this.#loadedVersion = this.#version.current;
    const before = this.#denials;
    this.#denials = new Map(
      this.#database
        .prepare('SELECT * FROM denied ORDER BY denied_at')
        .all()
        .map((row) => {
          const nodeId = parseNodeId(String(row['node_id']));
          return [nodeId, { nodeId, reason: String(row['reason']), deniedAt: Number(row['denied_at']) }];
        }),
    );
    const added = [...this.#denials.values()].filter(({ nodeId }) => !before.has(nodeId));
    const removed = [...before.keys()].filter((nodeId) => !this.#denials.has(nodeId));
    if (added.length + removed.length === 0) return;
    for (const listener of this.#listeners) listener({ added, removed });
  }
}
