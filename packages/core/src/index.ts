/**
 * The vocabulary of Sealift: ids, digests, piece geometry, errors, and the shapes of clock and logger that all layers
 * share. Values only; no I/O and nothing but `node:` built-ins.
 */
export { addressKey, plainAddress } from './address-key.ts';
export { type Admission, type AdmissionLimits, Admissions } from './admissions.ts';
export { Bitfield } from './bitfield.ts';
export {
  type BlobRef,
  DOCKER_HUB,
  DOCKER_HUB_API,
  parseHostPort,
  parseRegistryHost,
  parseRepository,
  type RegistryHost,
  type Repository,
  registryEndpoint,
  splitHostPort,
} from './blob.ts';
export { type Clock, systemClock } from './clock.ts';
export { type Digest, digestBytes, digestFromSha256, isDigest, parseDigest } from './digest.ts';
export { AppError, ERROR_CODES, type ErrorCode, type ErrorDetails, isAppError } from './errors.ts';
export { ES256_LENGTH, signEs256, verifyEs256 } from './es256.ts';
export {
  BLOCK_LENGTH,
  blockCount,
  MAX_BLOB_SIZE,
  MAX_PIECE_LENGTH,
  type PieceGeometry,
  pieceGeometry,
  pieceLengthFor,
  pieceSize,
} from './geometry.ts';
export {
  type ClusterId,
  type NodeId,
  parseClusterId,
  parseNodeId,
  parseSwarmId,
  parseZone,
  type SwarmId,
  type Zone,
} from './ids.ts';
export { keptBytes } from './kept-bytes.ts';
export { LOG_EVENTS, type LogEvent } from './log-events.ts';
export {
  createLogger,
  LOG_LEVELS,
  type LogFields,
  type Logger,
  type LogLevel,
  redactText,
  silentLogger,
} from './logger.ts';
export { type RateLimit, RateLimiter } from './rate-limiter.ts';
export { type ProvenRight, type Revocation, Revocations } from './revocations.ts';
export { swarmIdOf } from './swarm.ts';
export { within } from './within.ts';
