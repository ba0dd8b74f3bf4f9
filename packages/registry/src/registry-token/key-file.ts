import type { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Clock, LogEvent, Logger } from '@sealift/core';
import { type KeySet, parseKeySet } from './key-set.ts';
import type { SigningKey } from './signing-key.ts';

/** Least time between two looks at the file, in ms: a key that was withdrawn is trusted so long. */
const LOOK_INTERVAL_MS = 30_000;

/** What a {@link KeyFile} is looked at by. */
interface Follower {
  readonly clock: Clock;
  readonly log: Logger;
  /** Logged when the file cannot be read any more, and the keys of before are kept. */
  readonly failureEvent: LogEvent;
}

/** A key file that is read again when it has changed, so that keys are replaced without a restart. */
export class KeyFile implements KeySet {
  readonly #path: string;
  #set: KeySet;
  #stamp: string;
  #follower: Follower | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  private constructor(path: string, { set, stamp }: { set: KeySet; stamp: string }) {
    this.#path = path;
    this.#set = set;
    this.#stamp = stamp;
  }

  /** Reads the file. Throws `CONFIG_INVALID` for what it holds, and the error of the operating system. */
  static async open(path: string): Promise<KeyFile> {
    return new KeyFile(path, await read(path));
  }

  /** Looks at the file from now on, when somebody asks for keys. */
  follow(follower: Follower): this {
    this.#follower = follower;
    this.#lookedAt = follower.clock.now();
    return this;
  }

  /** As they were at the last look; begins another one when it is time. */
  get keys(): readonly SigningKey[] {
    void this.#look();
    return this.#set.keys;
  }

  get roots(): readonly X509Certificate[] {
    void this.#look();
    return this.#set.roots;
  }

  /** Keys that match, after a look at the file when it is time. */
  async find(matches: (key: SigningKey) => boolean): Promise<readonly SigningKey[]> {
    await this.#look();
    return this.#set.keys.filter(matches);
  }

  /** Never rejects. */
  #look(): Promise<void> {
    const follower = this.#follower;
    if (follower === undefined) return Promise.resolve();
    const now = follower.clock.now();
    if (this.#looking === undefined && now - this.#lookedAt >= LOOK_INTERVAL_MS) {
      this.#lookedAt = now;
      this.#looking = this.#refresh()
        .catch((error: unknown) => follower.log.warn(follower.failureEvent, { path: this.#path, error }))
        .finally(() => {
          this.#looking = undefined;
        });
    }
    return this.#looking ?? Promise.resolve();
  }

  async #refresh(): Promise<void> {
    if ((await stampOf(this.#path)) === this.#stamp) return;
    const { set, stamp } = await read(this.#path);
    this.#set = set;
    this.#stamp = stamp;
  }
}

/** The stamp is taken first: what is written while we read counts as a change. */
async function read(path: string): Promise<{ set: KeySet; stamp: string }> {
  const stamp = await stampOf(path);
  return { stamp, set: parseKeySet(await readFile(path, 'utf8')) };
}

/** Another one after each change; the inode too, because files are replaced by renaming, also by an older one. */
async function stampOf(path: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(path);
  return `${mtimeMs} ${size} ${ino}`;
}
