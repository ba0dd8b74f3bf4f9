import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { AppError } from '@sealift/core';
import { writeFileAtomic } from './atomic-file.ts';
import { decodeRecords, encodeRecords, MAX_RECORD_LENGTH } from './hash-records.ts';
import { Serial } from './serial.ts';

/** The records kept beside a blob, in memory and in its `hashes` file. */
export class HashFile {
  readonly #paths: { readonly hashes: string };
  readonly #maxBytes: number;
  readonly #serial = new Serial();
  #records: Buffer[];
  #length: number;

  /** `length` is where the next record goes: the bytes that `records` take in the file. */
  constructor(o: { paths: { readonly hashes: string }; maxBytes: number; records: readonly Buffer[]; length: number }) {
    this.#paths = o.paths;
    this.#maxBytes = o.maxBytes;
    this.#records = [...o.records];
    this.#length = o.length;
  }

  get records(): readonly Buffer[] {
    return this.#records;
  }

  /** Adds records, all or none; throws `STORE_FULL` above the limit for this blob. A file error leaves the list as it was. */
  append(records: readonly Uint8Array[]): Promise<void> {
    const frame = encodeRecords(records);
    return this.#serial.run(async () => {
      if (records.length === 0) return;
      this.#demandRoom(records, this.#length + frame.length);
      const handle = await open(this.#paths.hashes, constants.O_RDWR | constants.O_CREAT, 0o600);
      try {
        // At a known offset: what a failed append left behind is overwritten, or cut off at the next load.
        for (let done = 0; done < frame.length; ) {
          done += (await handle.write(frame, done, frame.length - done, this.#length + done)).bytesWritten;
        }
      } finally {
        await handle.close();
      }
      this.#length += frame.length;
      this.#records.push(...decodeRecords(frame).records);
    });
  }

  /** Puts `records` in place of all that is there, in one step. */
  replace(records: readonly Uint8Array[]): Promise<void> {
    const content = encodeRecords(records);
    return this.#serial.run(async () => {
      this.#demandRoom(records, content.length);
      await writeFileAtomic(this.#paths.hashes, content);
      this.#length = content.length;
      this.#records = decodeRecords(content).records;
    });
  }

  #demandRoom(records: readonly Uint8Array[], totalBytes: number): void {
    const isRecordSound = records.every(({ length }) => length > 0 && length <= MAX_RECORD_LENGTH);
    if (!isRecordSound || totalBytes > this.#maxBytes) {
      throw new AppError('STORE_FULL', { reason: 'the hash list is too long', bytes: totalBytes });
    }
  }
}
