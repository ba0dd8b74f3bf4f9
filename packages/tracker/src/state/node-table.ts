import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Clock, type NodeId, parseNodeId } from '@sealift/core';

/** What let a node in. */
export type EnrolledBy = (typeof ENROLMENTS)[number];
const ENROLMENTS = ['join-token', 'registry-token', 'service-account'] as const;

/** A node as the CA knows it. Times in ms. */
export interface NodeRecord {
  readonly id: NodeId;
  /** What people call it; the node's own word. */
  readonly name: string;
  readonly enrolledBy: EnrolledBy;
  /** The join token, or the Kubernetes node or pod of the service account token. */
  readonly tokenId: string | undefined;
  readonly firstSeen: number;
  /** Last enrolment or renewal. */
  readonly lastSeen: number;
  readonly certificateEnds: number;
  /** Fingerprint of the CA that signed the last certificate; empty for one of before there were rotations. */
  readonly issuer: string;
  /** Version of the trusted CAs that it was last told. */
  readonly trustVersion: number;
}

/** What a node got at its last enrolment or renewal. */
export type Certified = Pick<NodeRecord, 'certificateEnds' | 'issuer' | 'trustVersion'>;

/** Nodes that a rotation waits for. */
export interface Waiting {
  readonly nodes: number;
  /** When the last of their certificates ends, in ms; 0 without any. */
  readonly until: number;
}

/** How long a node is remembered after its last certificate ended, in ms. It needs a new enrolment then, under a new id. */
const KEPT_AFTER_END_MS = 30 * 86_400_000;

/** The nodes that hold a certificate, or held one lately. */
export class NodeTable {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #forget: StatementSync;
  readonly #insert: StatementSync;

  constructor({ database, clock }: { database: DatabaseSync; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
    this.#forget = database.prepare('DELETE FROM nodes WHERE certificate_ends < ?');
    this.#insert = database.prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  }

  /** Writes down a first certificate. */
  add(node: Omit<NodeRecord, 'firstSeen' | 'lastSeen'>): void {
    const { id, name, enrolledBy, tokenId, certificateEnds, issuer, trustVersion } = node;
    const now = this.#clock.now();
    this.#forget.run(now - KEPT_AFTER_END_MS);
    this.#insert.run(id, name, enrolledBy, tokenId ?? null, now, now, certificateEnds, issuer, trustVersion);
  }

  /** Writes down a further certificate. A node that is not listed, after a restore for instance, stays unlisted. */
  renew(id: NodeId, { certificateEnds, issuer, trustVersion }: Certified): void {
    this.#database
      .prepare('UPDATE nodes SET last_seen = ?, certificate_ends = ?, issuer = ?, trust_version = ? WHERE id = ?')
      .run(this.#clock.now(), certificateEnds, issuer, trustVersion, id);
  }

  /** Whether a node that was let in so is on the deny list. */
  isDenied({ enrolledBy, tokenId }: Pick<NodeRecord, 'enrolledBy' | 'tokenId'>): boolean {
    const row = this.#database
      .prepare('SELECT 1 FROM nodes JOIN denied ON node_id = id WHERE enrolled_by = ? AND token_id = ?')
      .get(enrolledBy, tokenId ?? null);
    return row !== undefined;
  }

  /** Nodes with a good certificate that have not been told of the trusted CAs of `version` yet. */
  unawareOf(version: number): Waiting {
    return this.#waiting('trust_version < ?', version);
  }

  /** Nodes with a good certificate of another CA than that with this fingerprint. */
  notIssuedBy(fingerprint: string): Waiting {
    return this.#waiting('issuer <> ?', fingerprint);
  }

  /** A denied node gets no renewal, so nobody waits for it. */
  #waiting(condition: string, value: string | number): Waiting {
    const row = this.#database
      .prepare(
        `SELECT count(*) AS n, max(certificate_ends) AS until FROM nodes
         WHERE certificate_ends > ? AND ${condition} AND id NOT IN (SELECT node_id FROM denied)`,
      )
      .get(this.#clock.now(), value);
    return { nodes: Number(row?.['n']), until: Number(row?.['until'] ?? 0) };
  }

  /** One node; `undefined` if it is not known, or no more. */
  get(id: NodeId): NodeRecord | undefined {
    const row = this.#database.prepare('SELECT * FROM nodes WHERE id = ?').get(id);
    return row === undefined ? undefined : recordOf(row);
  }

  /** Nodes, the one seen last first. */
  list({ limit }: { limit: number }): NodeRecord[] {
    return this.#database.prepare('SELECT * FROM nodes ORDER BY last_seen DESC, id LIMIT ?').all(limit).map(recordOf);
  }

  /** Nodes whose certificate is good now. */
  count(): number {
    const row = this.#database
      .prepare('SELECT count(*) AS n FROM nodes WHERE certificate_ends > ?')
      .get(this.#clock.now());
    return Number(row?.['n']);
  }
}

function recordOf(row: Record<string, unknown>): NodeRecord {
  return {
    id: parseNodeId(String(row['id'])),
    name: String(row['name']),
    enrolledBy: ENROLMENTS.find((way) => way === row['enrolled_by']) ?? 'join-token',
    tokenId: row['token_id'] === null ? undefined : String(row['token_id']),
    firstSeen: Number(row['first_seen']),
    lastSeen: Number(row['last_seen']),
    certificateEnds: Number(row['certificate_ends']),
    issuer: String(row['issuer']),
    trustVersion: Number(row['trust_version']),
  };
}
