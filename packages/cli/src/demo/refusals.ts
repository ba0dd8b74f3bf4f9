import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { EXTENSION, encodeExtendedHandshake, encodeHandshake, encodeMessage, peerIdOf } from '@sealift/bittorrent';
import type { SwarmId } from '@sealift/core';
import {
  type Identity,
  identityOfCertificate,
  peerClientContext,
  peerConnectOptions,
  type TlsMaterial,
} from '@sealift/pki';

/** Longest life of one attempt, in ms: a peer that refuses closes at once. */
const ATTEMPT_TIMEOUT_MS = 5_000;

/** One attempt at theft, and the bytes that it won. */
export interface Refusal {
  readonly case: string;
  readonly bytesServed: number;
}

/** A certificate of the cluster with its key, as any enrolled node holds one. */
export interface Intruder {
  readonly tls: TlsMaterial;
  readonly identity: Identity;
}

/** Makes an intruder from what an enrolment gave. */
export function intruderOf(material: TlsMaterial): Intruder {
  return { tls: material, identity: identityOfCertificate(new X509Certificate(material.certificatePem)) };
}

/**
 * Connects to a peer as `intruder`, asks for a swarm with `grant` (or without one), and answers with the number of bytes
 * that the peer sent over TLS before it closed. A rightful peer hears a handshake and a bitfield at once.
 */
export async function bytesServedTo(
  intruder: Intruder,
  { peer, swarmId, grant }: { peer: { host: string; port: number }; swarmId: SwarmId; grant: string | undefined },
): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = tls.connect({ ...peerConnectOptions(peerClientContext(intruder.tls)), ...peer });
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    // One answer proves the point; there is no need to take the blob.
    if (bytes > 0) socket.destroy();
  });
  socket.on('error', () => {});
  socket.on('close', () => resolve());
  socket.setTimeout(ATTEMPT_TIMEOUT_MS, () => socket.destroy());
  socket.write(
    Buffer.concat([
      encodeHandshake({ swarmId, peerId: peerIdOf(intruder.identity.id), supportsExtended: true, supportsFast: true }),
      encodeMessage({
        type: 'extended',
        id: EXTENSION.handshake,
        payload: encodeExtendedHandshake({ messages: new Map(), ...(grant === undefined ? {} : { grant }) }),
      }),
    ]),
  );
  await promise;
  return bytes;
}
