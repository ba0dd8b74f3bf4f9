import type { DatabaseSync } from 'node:sqlite';
import { transaction } from './database.ts';
import { readMeta, writeMeta } from './meta.ts';

/**
 * The version of what is pushed to nodes, denials and revocations together. Held in memory, and read again when another
 * process has changed the database. Whether it has is asked once in a turn of the event loop: the question takes locks of
 * the file system, and each announce has four of them.
 */
export class PushVersion {
  readonly #database: DatabaseSync;
  readonly #dataVersion: ReturnType<DatabaseSync['prepare']>;
  #seenDataVersion: unknown;
  #isAsked = false;
  #current: number;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#dataVersion = database.prepare('PRAGMA data_version');
    this.#current = this.#read();
  }

  /** Grows with each change, whoever made it: by this process at once, by another one with the next turn of the event loop. */
  get current(): number {
    if (!this.#isAsked) this.#ask();
    return this.#current;
  }

  /** Runs `write` in one transaction, and counts up if it says that it has changed something. */
  change(write: () => boolean): boolean {
    const isChanged = transaction(this.#database, () => {
      if (!write()) return false;
      writeMeta(this.#database, 'deny_version', String(this.#read() + 1));
      return true;
    });
    this.#current = this.#read();
    return isChanged;
  }

  #ask(): void {
    const dataVersion = this.#dataVersion.get()?.['data_version'];
    if (dataVersion !== this.#seenDataVersion) {
      this.#seenDataVersion = dataVersion;
      this.#current = this.#read();
    }
    this.#isAsked = true;
    // Not unreferenced: the loop would wait for the next request first, and that one would be answered by what was known before.
    setImmediate(() => {
      this.#isAsked = false;
    });
  }

  #read(): number {
    return Number(readMeta(this.#database, 'deny_version') ?? 0);
  }
}
