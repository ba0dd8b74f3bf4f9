/**
 * The peer protocol and the announce, as bytes: codecs with a limit for each input, and the client half of the announce.
 * Knows nothing of sessions, pieces on disk or TLS; see docs/protocol.md for the tables behind it.
 */
export { type AnnounceAnswer, decodeAnnounceAnswer, encodeAnnounceAnswer } from './announce-answer.ts';
export { AnnounceClient } from './announce-client.ts';
export {
  ANNOUNCE_KEYS,
  type AnnounceExtras,
  type DenyList,
  encodeAnnounceExtras,
  parseDenyVersion,
} from './announce-extras.ts';
export { type AnnounceRequest, encodeAnnounceQuery } from './announce-request.ts';
export type { AnnouncedPeer } from './announced-peer.ts';
export { type BencodeInput, type BencodeLimits, type BencodeValue, decodeBencode, encodeBencode } from './bencode.ts';
export {
  type ContentSigner,
  type ContentVerifier,
  createContentSigner,
  createContentVerifier,
  type PublicJwkLike,
} from './content-key.ts';
export {
  decodeExtendedHandshake,
  EXTENSION,
  EXTENSION_NAME,
  type ExtendedHandshake,
  encodeExtendedHandshake,
  MAX_EXTENDED_HANDSHAKE_LENGTH,
  MAX_GRANT_LENGTH,
  MAX_REGISTRY_TOKEN_LENGTH,
  OWN_EXTENSION_MESSAGES,
} from './extended-handshake.ts';
export { decodeFetching, encodeFetching, MAX_FETCHING } from './fetching.ts';
export { decodeHandshake, encodeHandshake, HANDSHAKE_LENGTH, type Handshake } from './handshake.ts';
export { HASH_LENGTH, type HashBatch, MAX_BATCH_HASHES, openHashBatch, signHashBatch } from './hash-batch.ts';
export { type AddedHashes, HashList } from './hash-list.ts';
export {
  type BareType,
  type BlockRange,
  encodeMessage,
  encodePieceHeader,
  encodeRequests,
  MAX_BLOCK_LENGTH,
  MAX_FRAME_LENGTH,
  MAX_PIECE_COUNT,
  MESSAGE_ID,
  type Message,
  PIECE_HEADER_LENGTH,
  writePieceHeader,
} from './message.ts';
export { MAX_KEEP_ALIVES, MAX_UNKNOWN_FRAMES, MessageParser, type MessageSink } from './message-parser.ts';
export { encodeMetainfo, type Metainfo, PIECE_SUM_LENGTH } from './metainfo.ts';
export { PEER_ID_PREFIX, peerIdOf } from './peer-id.ts';
export { claimedProgress, openProgress, type Progress, signProgress } from './progress.ts';
