/**
 * Verified pieces on disk: one directory per node, locked, within a quota, safe against kill -9 and power loss. Nothing
 * enters without its SHA-256 and nothing leaves that was not verified.
 */
export { BlobStore, type BlobStoreOptions } from './blob-store.ts';
export type { StoredBlob, VerifyResult } from './stored-blob.ts';
