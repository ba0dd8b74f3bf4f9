import type { NodeId } from '@sealift/core';

/** What Sealift adds to an announce (docs/protocol.md, "Announce"): two query parameters, two keys of the answer. */
export const ANNOUNCE_KEYS = {
  /** Query: version of the deny list that the asker holds. */
  denyVersion: 'deny_version',
  /** Query: zone of the asker, where it has one. */
  zone: 'zone',
  /** Answer: version of the deny list that the tracker holds. */
  answerDenyVersion: 'sl_deny_version',
  /** Answer: all denied node ids, only where the versions differ. */
  answerDeny: 'sl_deny',
  /** Answer: the info hash under which stock clients know this swarm, only while it is public. */
  publicInfoHash: 'sl_public',
} as const;

/** The nodes that no peer may talk to. `version` grows with each change. */
export interface DenyList {
  readonly version: number;
  readonly nodeIds: readonly NodeId[];
}

/**
 * The keys that the tracker adds to an answer: always its version, and the list itself if the asker holds another one.
 * A plain object, because that is what the tracker's announce library merges and encodes.
 */
export function encodeAnnounceExtras(deny: DenyList, askerVersion: number): Record<string, number | readonly NodeId[]> {
  const version = { [ANNOUNCE_KEYS.answerDenyVersion]: deny.version };
  return askerVersion === deny.version ? version : { ...version, [ANNOUNCE_KEYS.answerDeny]: deny.nodeIds };
}

/** Reads `deny_version` of a query; 0, which no list has once it was changed, for what is not a version. */
export function parseDenyVersion(value: unknown): number {
  const version = typeof value === 'string' && /^[0-9]{1,16}$/.test(value) ? Number(value) : 0;
  return Number.isSafeInteger(version) ? version : 0;
}
