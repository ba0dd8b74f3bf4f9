/**
 * A copy of `bytes` in memory of its own, for what is kept. A short `Buffer` of Node's is a part of a pool of 64 KiB that
 * others share, and kept for years it keeps all of that.
 */
export function keptBytes(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
