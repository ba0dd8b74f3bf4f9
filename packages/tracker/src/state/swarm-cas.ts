import type { DatabaseSync } from 'node:sqlite';
import { AppError, type Clock, type ClusterId } from '@sealift/core';
import { decryptPrivateKey, encryptPrivateKey, SwarmCa } from '@sealift/pki';
import { transaction } from './database.ts';
import { readMeta, writeMeta } from './meta.ts';

/** A row of the table of keys that holds a CA: the one that signs, and during a rotation its successor or predecessor. */
type CaKey = 'ca' | 'ca-next' | 'ca-old';

/**
 * Where a rotation stands. `introduced`: a next CA is trusted and signs nothing yet, until every node has heard of it.
 * `activated`: it signs, and the old one is still trusted, until no certificate of that is left.
 */
export type RotationStage = 'none' | 'introduced' | 'activated';

interface Loaded {
  readonly version: number;
  readonly issuing: SwarmCa;
  readonly next: SwarmCa | undefined;
  readonly old: SwarmCa | undefined;
}

interface Storage {
  readonly database: DatabaseSync;
  readonly passphrase: string | undefined;
  readonly clock: Clock;
}

/**
 * The CAs that the cluster trusts: one, and two while one takes the place of the other (decision 0018). Another process may
 * change them; `refresh` takes that over.
 */
export class SwarmCas {
  readonly #storage: Storage;
  readonly #listeners = new Set<() => void>();
  #loaded: Loaded;

  private constructor(storage: Storage, loaded: Loaded) {
    this.#storage = storage;
    this.#loaded = loaded;
  }

  /** Those in the database. Throws `KEY_FILE_UNSAFE` when the passphrase does not fit. */
  static async open(storage: Storage): Promise<SwarmCas> {
    return new SwarmCas(storage, await load(storage));
  }

  /** Grows with each change; what a node was told at its last enrolment or renewal. */
  get version(): number {
    return this.#loaded.version;
  }

  get stage(): RotationStage {
    if (this.#loaded.next !== undefined) return 'introduced';
    return this.#loaded.old === undefined ? 'none' : 'activated';
  }

  /** The one that signs nodes and seeder. */
  get issuing(): SwarmCa {
    return this.#loaded.issuing;
  }

  /** The one whose leaf the tracker shows: the older one, since that is what everybody still trusts. */
  get shown(): SwarmCa {
    return this.#loaded.old ?? this.#loaded.issuing;
  }

  /** The one that will stay: what new join addresses should name. */
  get newest(): SwarmCa {
    return this.#loaded.next ?? this.#loaded.issuing;
  }

  /** All certificates in PEM, that of `shown` first. */
  get trustAnchors(): string {
    const { shown, newest } = this;
    return shown === newest ? shown.certificatePem : `${shown.certificatePem}${newest.certificatePem}`;
  }

  /** Whether a CA with this name still counts. */
  trusts(issuer: string): boolean {
    return issuer === this.shown.name || issuer === this.newest.name;
  }

  /** Makes the next CA and has it trusted. Throws `CONFIG_INVALID` while a rotation is under way. */
  async introduce(): Promise<void> {
    const { database, clock } = this.#storage;
    const generation = generationIn(database) + 1;
    const { clusterId } = this.issuing;
    const next = await SwarmCa.create({ clusterId, generation, clock });
    const privatePem = await this.#protect(next);
    this.#change(() => {
      if (this.#has('ca-next') || this.#has('ca-old') || generationIn(database) !== generation - 1) {
        const advice = 'Finish it with `sealift ca retire` first.';
        throw new AppError('CONFIG_INVALID', { reason: 'a rotation of the CA is under way', advice });
      }
      insertCa(database, 'ca-next', privatePem, next.certificatePem);
      writeMeta(database, 'ca_generation', String(generation));
      return true;
    });
    await this.refresh();
  }

  /** Lets the next CA sign from now on; `false` if there is none. */
  async activate(): Promise<boolean> {
    const isChanged = this.#change(() => {
      if (!this.#has('ca-next')) return false;
      this.#rename('ca', 'ca-old');
      this.#rename('ca-next', 'ca');
      return true;
    });
    await this.refresh();
    return isChanged;
  }

  /** Ends the trust in the old CA, and deletes its key; `false` if there is no rotation. */
  async retire(): Promise<boolean> {
    const isChanged = this.#change(() => {
      if (this.#has('ca-next')) {
        this.#delete('ca');
        this.#rename('ca-next', 'ca');
        return true;
      }
      if (!this.#has('ca-old')) return false;
      this.#delete('ca-old');
      return true;
    });
    await this.refresh();
    return isChanged;
  }

  /** Takes over what this or another process has changed; tells the listeners. One at a time. */
  async refresh(): Promise<boolean> {
    if (versionIn(this.#storage.database) === this.version) return false;
    this.#loaded = await load(this.#storage);
    for (const listener of this.#listeners) listener();
    return true;
  }

  /** Calls `listener` after each change; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #protect(ca: SwarmCa): Promise<string> {
    const { passphrase } = this.#storage;
    const pem = await ca.exportPrivateKey();
    return passphrase === undefined ? pem : encryptPrivateKey(pem, passphrase);
  }

  #change(write: () => boolean): boolean {
    const { database } = this.#storage;
    return transaction(database, () => {
      if (!write()) return false;
      writeMeta(database, 'trust_version', String(versionIn(database) + 1));
      return true;
    });
  }

  #has(name: CaKey): boolean {
    return this.#storage.database.prepare('SELECT 1 FROM keys WHERE name = ?').get(name) !== undefined;
  }

  #rename(from: CaKey, to: CaKey): void {
    this.#storage.database.prepare('UPDATE keys SET name = ? WHERE name = ?').run(to, from);
  }

  #delete(name: CaKey): void {
    this.#storage.database.prepare('DELETE FROM keys WHERE name = ?').run(name);
  }
}

/** Writes a CA down; within a transaction of the caller's. */
export function insertCa(database: DatabaseSync, name: CaKey, privatePem: string, certificatePem: string): void {
  database.prepare('INSERT INTO keys VALUES (?, ?, ?)').run(name, privatePem, certificatePem);
}

async function load({ database, passphrase, clock }: Storage): Promise<Loaded> {
  // Read in one go, lest another process changes them in between.
  const { version, rows } = transaction(database, () => ({
    version: versionIn(database),
    rows: database.prepare("SELECT * FROM keys WHERE name IN ('ca', 'ca-next', 'ca-old')").all(),
  }));
  const loadOne = async (name: CaKey): Promise<SwarmCa | undefined> => {
    const row = rows.find((candidate) => candidate['name'] === name);
    if (row === undefined) return undefined;
    const privateKeyPem = decryptPrivateKey(String(row['private_pem']), passphrase);
    return await SwarmCa.load({ certificatePem: String(row['public']), privateKeyPem, clock });
  };
  const issuing = await loadOne('ca');
  if (issuing === undefined) throw new AppError('CONFIG_INVALID', { reason: 'the CA is missing from the database' });
  const [next, old] = [await loadOne('ca-next'), await loadOne('ca-old')];
  demandOneCluster([issuing, next, old], issuing.clusterId);
  return { version, issuing, next, old };
}

function demandOneCluster(cas: readonly (SwarmCa | undefined)[], clusterId: ClusterId): void {
  if (cas.some((ca) => ca !== undefined && ca.clusterId !== clusterId)) {
    throw new AppError('CONFIG_INVALID', { reason: 'the CA is of another cluster' });
  }
}

function versionIn(database: DatabaseSync): number {
  return Number(readMeta(database, 'trust_version') ?? 0);
}

function generationIn(database: DatabaseSync): number {
  return Number(readMeta(database, 'ca_generation') ?? 1);
}
