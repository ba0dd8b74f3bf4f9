import { type FileHandle, open } from 'node:fs/promises';
import { type Digest, isDigest } from '@sealift/core';
import { errnoOf, refuse } from '../failure.ts';

/** Longest state file, in bytes: every host of a rollout, many times over. */
const MAX_BYTES = 16 * 1024 * 1024;

/** What an earlier run of the same rollout has done. */
export interface EarlierRun {
  /** What the tag meant then; all hosts get this one, whatever it means now. */
  readonly digest: Digest;
  readonly doneHosts: ReadonlySet<string>;
}

/**
 * What a rollout has done, so that the next run goes on from there: a line of JSON for the image, then one for each host that has it.
 * Lines are only added, so that a crash costs the last one at most.
 */
export class StateFile {
  readonly earlier: EarlierRun | undefined;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, earlier: EarlierRun | undefined) {
    this.#file = file;
    this.earlier = earlier;
  }

  /** Opens the file, or makes it. Throws `CONFIG_INVALID` for a file of another image, or of something else. */
  static async open(path: string, { image }: { image: string }): Promise<StateFile> {
    const file = await open(path, 'a+', 0o600).catch((error: unknown) =>
      refuse('--state', `cannot use ${path} (${errnoOf(error)})`, error),
    );
    try {
      if ((await file.stat()).size > MAX_BYTES) refuse('--state', `${path} is too long for a state file`);
      const text = await file.readFile('utf8');
      // A crash may have left half a line, to which nothing must be added.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      const earlier = parseState(whole, { image, path });
      if (whole !== text) await file.truncate(Buffer.byteLength(whole));
      return new StateFile(file, earlier);
    } catch (error) {
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
  }

  async #append(line: object): Promise<void> {
    await this.#file.appendFile(`${JSON.stringify(line)}\n`);
  }
}

function parseState(text: string, { image, path }: { image: string; path: string }): EarlierRun | undefined {
  const [first, ...hosts] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine(line) ?? refuse('--state', `${path} is no state file`));
  if (first === undefined) return undefined;
  const [of, digest] = [first.get('image'), first.get('digest')];
  if (of !== image) refuse('--state', `${path} is of another image; name another file, or delete it`);
  if (typeof digest !== 'string' || !isDigest(digest)) return refuse('--state', `${path} is no state file`);
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
