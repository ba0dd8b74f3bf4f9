import { type FileHandle, open, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Digest, isAppError, isDigest } from '@sealift/core';
import { DirectoryLock } from '@sealift/store';
import { errnoOf, refuse } from '../failure.ts';

/** Longest state file, in bytes: every host of a rollout, many times over. */
const MAX_BYTES = 16 * 1024 * 1024;
/** How the first line begins. */
const BEGINNING = '{"image":';

/** What an earlier run of the same rollout has done. */
export interface EarlierRun {
  /** What the tag meant then; all hosts get this one, whatever it means now. */
  readonly digest: Digest;
  readonly doneHosts: ReadonlySet<string>;
}

/**
 * What a rollout has done, so that the next run goes on from there: a line of JSON for the image, then one for each host that has it.
 * Lines are only added, so that a crash costs the last one at most. A lock beside it (`<file>.lock`) keeps two rollouts from using it
 * at once: each would start what the other one does.
 */
export class StateFile {
  readonly earlier: EarlierRun | undefined;
  readonly #file: FileHandle;
  readonly #lock: DirectoryLock;

  private constructor(file: FileHandle, lock: DirectoryLock, earlier: EarlierRun | undefined) {
    this.#file = file;
    this.#lock = lock;
    this.earlier = earlier;
  }

  /**
   * Opens the file, or makes it. Throws `CONFIG_INVALID` for a file of another image, or of something else, and for one that another
   * rollout uses.
   */
  static async open(path: string, { image }: { image: string }): Promise<StateFile> {
    const file = await open(path, 'a+', 0o600).catch((error: unknown) =>
      refuse('--state', `cannot use ${path} (${errnoOf(error)})`, error),
    );
    let lock: DirectoryLock | undefined;
    try {
      const stats = await file.stat();
      if (!stats.isFile()) refuse('--state', `${path} is not a file`);
      lock = await lockBeside(path);
      if (stats.size > MAX_BYTES) refuse('--state', `${path} is too long for a state file`);
      const text = await file.readFile('utf8');
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      const earlier = parseState(whole, { image, path });
      if (whole !== text) {
        const rest = text.slice(whole.length);
        // Somebody's file of one line without an end must not be emptied.
        if (earlier === undefined && !rest.startsWith(BEGINNING.slice(0, rest.length))) refuseContent(path);
        // A crash has left half a line, to which nothing must be added.
        await file.truncate(Buffer.byteLength(whole));
      }
      return new StateFile(file, lock, earlier);
    } catch (error) {
      await lock?.release();
      await file.close();
      throw error;
    }
  }

  /** Writes down what the rollout is about; only where there was no earlier run. */
  async begin({ image, digest }: { image: string; digest: Digest }): Promise<void> {
    await this.#append({ image, digest });
  }

  /** Writes down that a host has the image. */
  async done(host: string): Promise<void> {
    await this.#append({ host });
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#lock.release();
  }

  async #append(line: object): Promise<void> {
    await this.#file.appendFile(`${JSON.stringify(line)}\n`);
  }
}

async function lockBeside(path: string): Promise<DirectoryLock> {
  try {
    // By whichever link it is named.
    const file = await realpath(path);
    return await DirectoryLock.acquire(dirname(file), { prefix: `${basename(file)}.` });
  } catch (error) {
    if (!isAppError(error, 'STORE_LOCKED')) {
      return refuse('--state', `cannot lock ${path} (${errnoOf(error) ?? 'no file beside it takes a lock'})`, error);
    }
    const { pid } = error.details;
    const holder = `another rollout${pid === undefined ? '' : ` (process ${pid})`}`;
    return refuse('--state', `${path} is in use by ${holder}: wait for its end, or name another file`, error);
  }
}

function refuseContent(path: string): never {
  return refuse('--state', `${path} is no state file; name another file, or delete it`);
}

function parseState(text: string, { image, path }: { image: string; path: string }): EarlierRun | undefined {
  const [first, ...hosts] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(line) ?? refuseContent(path));
  if (first === undefined) return undefined;
  const [of, digest] = [first.get('image'), first.get('digest')];
  if (of !== image) refuse('--state', `${path} is of another image; name another file, or delete it`);
  if (typeof digest !== 'string' || !isDigest(digest)) return refuseContent(path);
  const names = hosts.map((fields) => fields.get('host'));
  return { digest, doneHosts: new Set(names.filter((name) => typeof name === 'string')) };
}

function parseLine(line: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined;
  } catch {
    return undefined;
  }
}
