import { hash } from 'node:crypto';
import type { RegistryHost } from './blob.ts';
import type { Digest } from './digest.ts';
import type { ClusterId, SwarmId } from './ids.ts';

/**
 * The swarm id of a blob: the first 20 bytes of SHA-256 over `sealift/1`, cluster id, registry and digest, each
 * prefixed by its length as a 32-bit big-endian number, so that no two field lists give the same bytes. The registry is
 * part of it because a registry vouches only for what it holds itself (docs/protocol.md, "Swarm id").
 */
export function swarmIdOf(clusterId: ClusterId, registry: RegistryHost, digest: Digest): SwarmId {
  const parts: Buffer[] = [];
  for (const field of ['sealift/1', clusterId, registry, digest]) {
    const bytes = Buffer.from(field, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return hash('sha256', Buffer.concat(parts)).slice(0, 40) as SwarmId;
}
