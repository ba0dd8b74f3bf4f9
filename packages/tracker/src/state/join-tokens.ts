import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { AppError, type Clock } from '@sealift/core';
import { transaction } from './database.ts';

/** How long a token that is over stays listed, in ms, so that an operator can see what became of it. */
const KEPT_AFTER_END_MS = 30 * 86_400_000;
/** Longest life of a token, in ms. */
const MAX_TTL_MS = 366 * 86_400_000;
const TOKEN = /^slj_(?<id>[0-9a-f]{16})_(?<secret>[A-Za-z0-9_-]{43})$/;

/** A join token as it can be shown: without its secret. Times in ms. */
export interface JoinTokenInfo {
  readonly id: string;
  readonly isReusable: boolean;
  readonly note: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly state: 'open' | 'spent' | 'expired' | 'revoked';
}

type Row = Record<string, unknown>;

/**
 * What enrols a node. Only a hash of each secret is kept; 256 random bits need no slow hash. Every call reads the database,
 * so tokens made or revoked by another process count at once.
 */
export class JoinTokens {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #select: StatementSync;
  readonly #spend: StatementSync;

  constructor({ database, clock }: { database: DatabaseSync; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
    this.#select = database.prepare('SELECT * FROM join_tokens WHERE id = ?');
    this.#spend = database.prepare('UPDATE join_tokens SET spent_at = ? WHERE id = ? AND is_reusable = 0');
  }

  /** Makes a token. `token` is the secret, told this once. `ttlMs` is at most a year; throws `CONFIG_INVALID`. */
  create({ isReusable, ttlMs, note = '' }: { isReusable: boolean; ttlMs: number; note?: string }): {
    id: string;
    token: string;
    expiresAt: number;
  } {
    if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0 || ttlMs > MAX_TTL_MS) {
      throw new AppError('CONFIG_INVALID', { reason: 'the life of a join token is out of range', ttlMs });
    }
    const now = this.#clock.now();
    const id = randomBytes(8).toString('hex');
    const secret = randomBytes(32).toString('base64url');
    const expiresAt = now + ttlMs;
    transaction(this.#database, () => {
      this.#database.prepare('DELETE FROM join_tokens WHERE expires_at < ?').run(now - KEPT_AFTER_END_MS);
      this.#database
        .prepare('INSERT INTO join_tokens VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)')
        .run(id, sha256(secret), isReusable ? 1 : 0, note.slice(0, 200), now, expiresAt);
    });
    return { id, token: `slj_${id}_${secret}`, expiresAt };
  }

  /** The id of a token that would be accepted now. Spends nothing. Throws `JOIN_TOKEN_REJECTED`. */
  check(token: string): string {
    const { id = '', secret = '' } = TOKEN.exec(token)?.groups ?? {};
    const row = this.#row(id);
    // An id is no secret, so finding it may take another time than not finding it; the comparison may not.
    if (row === undefined || !isSecret(row, secret)) throw rejected('unknown');
    const state = this.#stateOf(row);
    if (state !== 'open') throw rejected(state, id);
    return id;
  }

  /** Uses a token: once only, unless it is reusable. Two at the same moment do not both pass. Throws `JOIN_TOKEN_REJECTED`. */
  redeem(token: string): string {
    return transaction(this.#database, () => {
      const id = this.check(token);
      this.#spend.run(this.#clock.now(), id);
      return id;
    });
  }

  /** Ends a token now; `false` if there is none with this id. */
  revoke(id: string): boolean {
    const { changes } = this.#database
      .prepare('UPDATE join_tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL')
      .run(this.#clock.now(), id);
    return changes === 1 || this.#row(id) !== undefined;
  }

  /** All tokens, those that ended within 30 days among them. */
  list(): JoinTokenInfo[] {
    return this.#database
      .prepare('SELECT * FROM join_tokens ORDER BY created_at')
      .all()
      .map((row) => ({
        id: String(row['id']),
        isReusable: row['is_reusable'] === 1,
        note: String(row['note']),
        createdAt: Number(row['created_at']),
        expiresAt: Number(row['expires_at']),
        state: this.#stateOf(row),
      }));
  }

  #row(id: string): Row | undefined {
    return this.#select.get(id);
  }

  #stateOf(row: Row): JoinTokenInfo['state'] {
    if (row['revoked_at'] !== null) return 'revoked';
    if (row['spent_at'] !== null) return 'spent';
    return Number(row['expires_at']) <= this.#clock.now() ? 'expired' : 'open';
  }
}

function isSecret(row: Row, secret: string): boolean {
  const expected = row['secret_sha256'];
  return expected instanceof Uint8Array && expected.length === 32 && timingSafeEqual(expected, sha256(secret));
}

function sha256(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function rejected(reason: string, tokenId?: string): AppError {
  return new AppError('JOIN_TOKEN_REJECTED', { reason, ...(tokenId === undefined ? {} : { tokenId }) });
}
