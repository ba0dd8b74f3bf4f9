import { AppError, type Clock, isAppError, type Logger } from '@sealift/core';

/** What is wrong with the disk itself, and not with one file. */
const DISK_ERRNOS: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']);
/** How long a disk that has refused a write is left alone, in ms. Meanwhile blobs pass by the store, and nobody waits. */
const DISK_PAUSE_MS = 10_000;

/** Whether the disk takes what is written. Says so in the log when that changes, and not for each piece. */
export class DiskHealth {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #fault: AppError | undefined;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor({ directory, clock, log }: { directory: string; clock: Clock; log: Logger }) {
    this.#directory = directory;
    this.#clock = clock;
    this.#log = log;
  }

  /** A call has failed with `error`; nothing happens unless that is the disk's fault. */
  failed(error: unknown): void {
    if (!isAppError(error) || !DISK_ERRNOS.has(error.details['errno'])) return;
    this.#pausedUntil = this.#clock.now() + DISK_PAUSE_MS;
    if (this.#fault === undefined) {
      const advice = 'what does not fit is streamed from the registry and not kept, until the disk takes it again';
      this.#log.error('store_disk_failed', { directory: this.#directory, advice, error });
    }
    this.#fault = error;
  }

  /** A piece was written. */
  succeeded(): void {
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#log.info('store_disk_recovered', { directory: this.#directory });
  }

  /** Throws what the disk said last, as long as it is left alone. */
  demand(): void {
    if (this.#fault === undefined || this.#clock.now() >= this.#pausedUntil) return;
    const { code, details } = this.#fault;
    throw new AppError(
      code,
      { ...details, reason: 'the disk has refused a write moments ago' },
      { cause: this.#fault },
    );
  }
}
