import { type AnnounceExtras, type BencodeInput, encodeBencode, peerIdOf } from '@sealift/bittorrent';
import type { NodeId } from '@sealift/core';

/** A peer as an answer names it. */
export interface AnnouncedPeer {
  readonly nodeId: NodeId;
  readonly host: string;
  readonly port: number;
  /**
   * What it looks like on the wire, once it was worked out: an entry of the swarm table is handed out about as often as an
   * answer holds peers before its node announces again. Kept here, because a map beside it is another place to look for.
   */
  encoded?: string | undefined;
}

/** What the extras of each answer look like on the wire: most answers carry the same ones, and a whole deny list is long. */
const encodedExtras = new WeakMap<AnnounceExtras, string>();

/** An answer with its peers as dictionaries (BEP 3), one character per byte. */
export function encodeAnnounce({
  interval,
  complete,
  incomplete,
  peers,
  extras,
}: {
  interval: number;
  complete: number;
  incomplete: number;
  peers: readonly AnnouncedPeer[];
  /** Beside the standard keys, and after them in the order of the alphabet. */
  extras: AnnounceExtras;
}): string {
  let list = '';
  for (const peer of peers) list += peer.encoded ?? encodePeer(peer);
  const rest = encodedRest(extras);
  // BEP 3: keys in the order of their bytes. The extras are a dictionary whose frame is taken off.
  return `d8:completei${complete}e10:incompletei${incomplete}e8:intervali${interval}e5:peersl${list}e${rest.slice(1)}`;
}

function encodedRest(extras: AnnounceExtras): string {
  const known = encodedExtras.get(extras);
  if (known !== undefined) return known;
  const encoded = encode(new Map(Object.entries(extras)));
  encodedExtras.set(extras, encoded);
  return encoded;
}

function encodePeer(peer: AnnouncedPeer): string {
  const { nodeId, host, port } = peer;
  const entries: [string, BencodeInput][] = [
    ['peer id', peerIdOf(nodeId)],
    ['ip', host],
    ['port', port],
  ];
  const encoded = encode(new Map(entries));
  peer.encoded = encoded;
  return encoded;
}

function encode(value: BencodeInput): string {
  return encodeBencode(value).toString('latin1');
}
