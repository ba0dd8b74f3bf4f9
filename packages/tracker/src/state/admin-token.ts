import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { writeSecretFile } from '@sealift/pki';
import { readMeta, writeMeta } from './meta.ts';

/** Name of the file in the data directory that holds the admin token, mode 0600. */
export const ADMIN_TOKEN_FILE = 'admin-token';

/** Opens the status page. Only its hash is in the database; the token itself is in a file for the operator. */
export class AdminToken {
  readonly #sha256: Buffer;

  private constructor(sha256: Buffer) {
    this.#sha256 = sha256;
  }

  /** The token of this data directory, made at first start. */
  static async open({
    database,
    dataDirectory,
  }: {
    database: DatabaseSync;
    dataDirectory: string;
  }): Promise<AdminToken> {
    const stored = readMeta(database, 'admin_token_sha256');
    if (stored !== undefined) return new AdminToken(Buffer.from(stored, 'hex'));
    const token = randomBytes(32).toString('base64url');
    await writeSecretFile(join(dataDirectory, ADMIN_TOKEN_FILE), `${token}\n`);
    writeMeta(database, 'admin_token_sha256', sha256(token).toString('hex'));
    return new AdminToken(sha256(token));
  }

  /** Whether `authorization` is `Bearer` and this token. Hashing first makes the comparison take the same time for all. */
  isIn(authorization: string | undefined): boolean {
    const token = /^Bearer (?<token>\S{1,128})$/.exec(authorization ?? '')?.groups?.['token'];
    return token !== undefined && timingSafeEqual(sha256(token), this.#sha256);
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
