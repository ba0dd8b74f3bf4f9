import { crc32 } from 'node:zlib';
import { keptBytes } from '@sealift/core';

/** Length and CRC-32 of a record, 32-bit big-endian each, before its bytes. */
const HEADER_LENGTH = 8;
/** Longest record, in bytes; a signed batch of 1024 hashes has 32,913 (docs/protocol.md, "sl_hashes"). */
export const MAX_RECORD_LENGTH = 65_536;

/** The form in which records follow one another in a file; to be kept, as its views are once it is written. */
export function encodeRecords(records: readonly Uint8Array[]): Buffer {
  const parts = records.flatMap((record) => {
    const header = Buffer.alloc(HEADER_LENGTH);
    header.writeUInt32BE(record.length, 0);
    header.writeUInt32BE(crc32(record), 4);
    return [header, record];
  });
  return keptBytes(Buffer.concat(parts));
}

/** The records up to the first torn one, and how many bytes of the file they take; the rest is to be cut off. */
export function decodeRecords(bytes: Buffer): { records: Buffer[]; length: number } {
  const records: Buffer[] = [];
  let offset = 0;
  while (offset + HEADER_LENGTH <= bytes.length) {
    const length = bytes.readUInt32BE(offset);
    const start = offset + HEADER_LENGTH;
    // A record is never empty, so a stretch of zeros that a power loss leaves is a torn one too.
    if (length === 0 || length > MAX_RECORD_LENGTH || start + length > bytes.length) break;
    const record = bytes.subarray(start, start + length);
    if (crc32(record) !== bytes.readUInt32BE(offset + 4)) break;
    records.push(record);
    offset = start + length;
  }
  return { records, length: offset };
}

/**
 * Whether what follows the last sound record is one that was being written when the process ended: nothing sound comes after
 * it. A record that is there in full and does not fit its checksum is something else.
 */
export function isTornRecord(rest: Buffer): boolean {
  if (rest.length === 0) return false;
  if (rest.length < HEADER_LENGTH) return true;
  const length = rest.readUInt32BE(0);
  if (length > 0 && length <= MAX_RECORD_LENGTH && HEADER_LENGTH + length <= rest.length) return false;
  const end = Math.min(rest.length, HEADER_LENGTH + MAX_RECORD_LENGTH);
  for (let offset = 1; offset < end; offset += 1) if (decodeRecords(rest.subarray(offset)).length > 0) return false;
  return true;
}
