import { createHash } from 'node:crypto';
import type { NodeId } from '@sealift/core';

/** Client and version in the style of BEP 20, the start of every Sealift peer id. */
export const PEER_ID_PREFIX = '-SL0001-';

/**
 * The peer id of a node: the prefix and the first 12 bytes of SHA-256(node id), 20 bytes in all. It follows from the
 * certificate, so nobody can take another's; it is a label on the wire and never an identity.
 */
export function peerIdOf(nodeId: NodeId): Buffer {
  const hash = createHash('sha256').update(nodeId, 'utf8').digest();
  return Buffer.concat([Buffer.from(PEER_ID_PREFIX, 'latin1'), hash.subarray(0, 12)]);
}
