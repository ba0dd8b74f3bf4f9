import { hash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { AddressInfo, OnReadOpts } from 'node:net';
import path from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { peerClientContext, peerConnectOptions, peerServerOptions, type TlsMaterial } from '@sealift/pki';

/** Bytes of one read and one write: larger gains nothing. */
const READ_BYTES = 256 * 1024;

/** Offers `file` to whoever shows a certificate of the CA. Resolves with the port; stops with the process. */
export async function seedOverTls({ file, tls }: { file: string; tls: TlsMaterial }): Promise<number> {
  const server = createServer(peerServerOptions(tls), (socket) => {
    socket.on('error', () => {});
    sendFile(file, socket).catch((error: unknown) => socket.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function sendFile(source: string, socket: TLSSocket): Promise<void> {
  const file = await open(source);
  try {
    // While one buffer is on its way, the next one is filled.
    const buffers = Array.from({ length: 4 }, () => ({ bytes: Buffer.alloc(READ_BYTES), written: Promise.resolve() }));
    for (let index = 0; ; index += 1) {
      const slot = buffers[index % buffers.length] as (typeof buffers)[number];
      await slot.written;
      const { bytesRead } = await file.read(slot.bytes, 0, READ_BYTES);
      if (bytesRead === 0) break;
      slot.written = new Promise((resolve, reject) => {
        socket.write(slot.bytes.subarray(0, bytesRead), (error) => (error ? reject(error) : resolve()));
      });
    }
    await Promise.all(buffers.map(({ written }) => written));
    socket.end();
  } finally {
    await file.close();
  }
}

/** Receives what {@link seedOverTls} sends into a file, each piece only if its hash is right. Resolves with its path. */
export async function receiveOverTls({
  port,
  tls,
  pieceBytes,
  pieceHashes,
  directory,
}: {
  port: number;
  tls: TlsMaterial;
  pieceBytes: number;
  pieceHashes: readonly string[];
  directory: string;
}): Promise<string> {
  const target = path.join(directory, 'blob');
  const file = openSync(target, 'wx');
  const piece = Buffer.alloc(pieceBytes);
  let filled = 0;
  let index = 0;
  const take = (count: number, buffer: Uint8Array): boolean => {
    for (let at = 0; at < count; ) {
      const part = Math.min(count - at, pieceBytes - filled);
      piece.set(buffer.subarray(at, at + part), filled);
      at += part;
      filled += part;
      if (filled < pieceBytes) continue;
      if (hash('sha256', piece) !== pieceHashes[index]) throw new Error(`piece ${index} is false`);
      writeSync(file, piece);
      filled = 0;
      index += 1;
    }
    return true;
  };
  try {
    // The type of `connect` does not name `onread`, the documentation does. One buffer for all records, not one for each.
    const onread: OnReadOpts = { buffer: Buffer.alloc(64 * 1024), callback: take };
    const options = { host: '127.0.0.1', port, ...peerConnectOptions(peerClientContext(tls)), onread };
    const socket = connect(options);
    await once(socket, 'close');
    if (index !== pieceHashes.length) throw new Error(`${index} of ${pieceHashes.length} pieces came`);
    return target;
  } finally {
    closeSync(file);
  }
}
