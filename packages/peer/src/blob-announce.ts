import type { AnnounceRequest } from '@sealift/bittorrent';
import { pieceSize } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import type { SwarmEnvironment } from './swarm.ts';

/** What a swarm has to say of itself besides what its blob tells. */
interface SwarmState {
  readonly isComplete: boolean;
  readonly uploaded: number;
  readonly downloaded: number;
  /** Peers asked for. */
  readonly numwant: number;
}

/** What is announced of a blob, but for the event; `undefined` while there is no grant to announce with. */
export function announceOf(
  blob: StoredBlob,
  { isComplete, ...state }: SwarmState,
  environment: Pick<SwarmEnvironment, 'grant' | 'self' | 'zone'>,
): Omit<AnnounceRequest, 'event'> | undefined {
  const grant = environment.grant(blob.swarmId);
  if (grant === undefined) return undefined;
  const { port, ip, denyVersion } = environment.self();
  return {
    ...state,
    swarmId: blob.swarmId,
    left: isComplete ? 0 : Math.max(1, missingBytes(blob)),
    port,
    ...(ip === undefined ? {} : { ip }),
    ...(environment.zone === undefined ? {} : { zone: environment.zone }),
    grant,
    denyVersion,
  };
}

function missingBytes({ bitfield, geometry }: StoredBlob): number {
  const missing = (bitfield.length - bitfield.count) * geometry.pieceLength;
  const last = geometry.pieceCount - 1;
  return bitfield.has(last) ? missing : missing - geometry.pieceLength + pieceSize(geometry, last);
}
