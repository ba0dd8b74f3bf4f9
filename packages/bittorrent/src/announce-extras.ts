import type { NodeId, Revocation } from '@sealift/core';
import type { BencodeInput } from './bencode.ts';

/** What Sealift adds to an announce (docs/protocol.md, "Announce"): query parameters and keys of the answer. */
export const ANNOUNCE_KEYS = {
  /** Query: version of the deny list that the asker holds. */
  denyVersion: 'deny_version',
  /** Query: zone of the asker, where it has one. */
  zone: 'zone',
  /** Answer: version of the deny list that the tracker holds. */
  answerDenyVersion: 'sl_deny_version',
  /** Answer: all denied node ids, only where the versions differ. */
  answerDeny: 'sl_deny',
  /** Answer: all revocations, beside the list of denied nodes; absent where there is none. */
  answerRevoked: 'sl_revoked',
  /** Answer: the info hash under which stock clients know this swarm, only while it is public. */
  publicInfoHash: 'sl_public',
} as const;

/** The nodes that no peer may talk to, and the rights that no peer may honour. `version` grows with each change. */
export interface DenyList {
  readonly version: number;
  readonly nodeIds: readonly NodeId[];
  readonly revocations: readonly Revocation[];
}

/** What {@link encodeAnnounceExtras} has made of a list. */
const encoded = new WeakMap<DenyList, { readonly version: AnnounceExtras; readonly whole: AnnounceExtras }>();

/** Keys of an answer beside the standard ones. */
export type AnnounceExtras = Readonly<Record<string, BencodeInput>>;

/**
 * The keys that the tracker adds to an answer: always its version, and the list itself if the asker holds another one.
 * A plain object, because that is what the tracker's announce library merges and encodes; the same one for the same list.
 */
export function encodeAnnounceExtras(deny: DenyList, askerVersion: number): AnnounceExtras {
  let extras = encoded.get(deny);
  if (extras === undefined) {
    const version = { [ANNOUNCE_KEYS.answerDenyVersion]: deny.version };
    extras = { version, whole: { ...version, ...encodeList(deny) } };
    encoded.set(deny, extras);
  }
  return askerVersion === deny.version ? extras.version : extras.whole;
}

function encodeList({ nodeIds, revocations }: DenyList): AnnounceExtras {
  const nodes = { [ANNOUNCE_KEYS.answerDeny]: nodeIds };
  return revocations.length === 0
    ? nodes
    : { ...nodes, [ANNOUNCE_KEYS.answerRevoked]: revocations.map(encodeRevocation) };
}

function encodeRevocation({ registry, repository, digest, provenBefore }: Revocation): BencodeInput {
  return [provenBefore / 1000, registry, repository, ...(digest === undefined ? [] : [digest])];
}

/** Reads `deny_version` of a query; 0, which no list has once it was changed, for what is not a version. */
export function parseDenyVersion(value: unknown): number {
  const version = typeof value === 'string' && /^[0-9]{1,16}$/.test(value) ? Number(value) : 0;
  return Number.isSafeInteger(version) ? version : 0;
}
