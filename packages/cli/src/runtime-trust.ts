import { rm, writeFile } from 'node:fs/promises';
import type { Logger } from '@sealift/core';
import { TrustFiles } from '@sealift/proxy';
import { isDiskFault } from './data-directory.ts';
import type { Service } from './service-stack.ts';

/** Pause before a disk that did not take the files is tried again, in ms. */
const RETRY_MS = 5_000;

/** What a {@link RuntimeTrust} writes, and where. */
export interface RuntimeTrustOptions {
  /** Where the runtime keeps its trust anchors; `undefined` if it is not to be told there. */
  readonly certsDirectory: string | undefined;
  /** One more copy for other clients. */
  readonly file: string | undefined;
  readonly registries: ConstructorParameters<typeof TrustFiles>[0]['registries'];
  readonly interceptCa: { readonly certificatePem: string };
  readonly log: Logger;
}

/**
 * Has the runtime trust the intercept CA. A disk that is full or read-only is no reason not to start, for dockerd has no
 * second proxy: it is tried again until it takes the files, and nothing can be intercepted meanwhile.
 */
export class RuntimeTrust implements Service {
  readonly #options: RuntimeTrustOptions;
  /** Writes everything; resolves with how to take it away again. */
  readonly #write: (options: RuntimeTrustOptions) => Promise<() => Promise<void>>;
  #remove: (() => Promise<void>) | undefined;
  #trying: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: RuntimeTrustOptions, write = writeTrust) {
    this.#options = options;
    this.#write = write;
  }

  /** The runtime finds the CA where it looks. */
  get isWritten(): boolean {
    return this.#remove !== undefined;
  }

  /** Rejects with the file system's error where only another choice of directory helps. */
  async start(): Promise<void> {
    try {
      await this.#try();
    } catch (error) {
      if (!isDiskFault(error)) throw error;
      const advice = 'the registries are tunnelled, and nothing is shared, until the disk takes the files';
      this.#options.log.error('trust_failed', { certsDirectory: this.#options.certsDirectory, advice, error });
      this.#tryLater();
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#trying?.catch(() => {});
    const remove = this.#remove;
    this.#remove = undefined;
    await remove?.();
  }

  #try(): Promise<void> {
    this.#trying = this.#write(this.#options).then((remove) => {
      this.#remove = remove;
    });
    return this.#trying;
  }

  #tryLater(): void {
    if (this.#isStopped) return;
    // What is wrong was said once.
    this.#timer = setTimeout(() => void this.#try().catch(() => this.#tryLater()), RETRY_MS);
    this.#timer.unref();
  }
}

async function writeTrust({ file, certsDirectory, registries, interceptCa, log }: RuntimeTrustOptions) {
  const files =
    certsDirectory === undefined ? undefined : new TrustFiles({ certsDirectory, registries, interceptCa, log });
  const remove = async (): Promise<void> => {
    await files?.stop();
    if (file !== undefined) await rm(file, { force: true });
  };
  try {
    await files?.start();
    if (file !== undefined) await writeFile(file, interceptCa.certificatePem, { mode: 0o644 });
    return remove;
  } catch (error) {
    await remove();
    throw error;
  }
}
