/**
 * Verified pieces on disk: one directory per node, locked, within a quota, safe against kill -9 and power loss. Nothing
 * enters without its SHA-256 and nothing leaves that was not verified.
 */
export type { InspectedHashes, InspectHashes, StoreFinding } from './blob-check.ts';
export type { BlobDescription } from './blob-meta.ts';
export { type ArrivingBlob, BlobReader, type ServedBytes } from './blob-reader.ts';
export { BlobStore, type BlobStoreOptions } from './blob-store.ts';
export { DirectoryLock } from './directory-lock.ts';
export { SharedBlob } from './shared-blob.ts';
export { bytesAnswer, sizeAnswer } from './small-answer.ts';
export { checkStore, type StoreCheckProgress, type StoreReport } from './store-check.ts';
export type { ReadableBlob, StoredBlob, VerifyResult } from './stored-blob.ts';
