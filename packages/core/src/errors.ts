/** What {@link AppError} carries beside its code: closed values for the operator, never a secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

interface ErrorCodeEntry {
  /** HTTP status an API answers with; `undefined` where the error never crosses HTTP. */
  readonly status: number | undefined;
  readonly summary: string;
}

/** Everything we refuse on purpose. A code is never renamed or reused; docs/errors.md lists each one. */
export const ERROR_CODES = {
  // core
  ID_INVALID: { status: 400, summary: 'an identifier is not well-formed' },
  DIGEST_INVALID: { status: 400, summary: 'a digest is not of the form sha256:<64 lower-case hex digits>' },
  REGISTRY_INVALID: { status: 400, summary: 'a registry is not of the form host[:port]' },
  REPOSITORY_INVALID: {
    status: 400,
    summary: 'a repository name breaks the rules of the OCI distribution specification',
  },
  GEOMETRY_INVALID: { status: 400, summary: 'a blob size and piece length do not fit together' },
  CONFIG_INVALID: { status: undefined, summary: 'the configuration has problems' },
  // pki
  CSR_REJECTED: { status: 400, summary: 'the signing request breaks the certificate profile' },
  CERTIFICATE_REJECTED: { status: 403, summary: 'a certificate does not prove the identity that is asked for' },
  TRUST_ANCHOR_MISMATCH: { status: undefined, summary: 'the tracker does not show a CA with the expected fingerprint' },
  KEY_FILE_UNSAFE: { status: undefined, summary: 'a file that holds a secret is open to others or cannot be read' },
  // registry
  REFERENCE_INVALID: { status: undefined, summary: 'an image reference cannot be understood' },
  AUTHORIZATION_INVALID: { status: 400, summary: 'a credential cannot be written as an Authorization header' },
  REGISTRY_UNKNOWN: { status: 403, summary: 'the registry is not one that this process is configured for' },
  REGISTRY_REFUSED: { status: 403, summary: 'the registry refused the request' },
  REGISTRY_UNAVAILABLE: { status: 502, summary: 'the registry cannot be reached or answers out of order' },
  // bittorrent
  BENCODE_INVALID: { status: 400, summary: 'bytes are not canonical bencode (BEP 3)' },
  FRAME_TOO_LONG: { status: undefined, summary: 'a peer sent a frame above the limit' },
  FRAME_INVALID: { status: undefined, summary: 'a peer sent a frame that breaks the protocol' },
  HANDSHAKE_INVALID: { status: undefined, summary: 'a peer sent a handshake that breaks the protocol' },
  HASH_BATCH_INVALID: {
    status: undefined,
    summary: 'a batch of piece hashes is not signed by this cluster or contradicts what is known',
  },
  ANNOUNCE_FAILED: { status: undefined, summary: 'the tracker refused or broke an announce' },
  // store
  STORE_LOCKED: { status: undefined, summary: 'another process uses this data directory' },
  STORE_FULL: { status: undefined, summary: 'there is no room for the blob within the quota or on the disk' },
  STORE_FAULT: { status: undefined, summary: 'the disk refused to read or write' },
  STORE_DAMAGED: { status: undefined, summary: 'a store does not pass its check' },
  STORE_CLOSED: { status: undefined, summary: 'the store is closed' },
  PIECE_REJECTED: { status: undefined, summary: 'a piece does not match its signed hash' },
  PIECE_MISSING: { status: undefined, summary: 'a piece was asked for that is not verified yet' },
  // peer
  GRANT_REJECTED: { status: 403, summary: 'a grant does not prove the right to this blob on this connection' },
  REGISTRY_TOKEN_REJECTED: {
    status: undefined,
    summary: 'a registry token does not prove the right to this blob at this node',
  },
  PEER_PROTOCOL: { status: undefined, summary: 'a peer broke the rules of the session' },
  PEER_CLOSED: { status: undefined, summary: 'the other side ended the connection' },
  PEER_NOT_NEEDED: { status: undefined, summary: 'a connection has served its purpose' },
  SWARM_STALLED: { status: undefined, summary: 'the swarm makes no progress' },
  SWARM_WITHDRAWN: {
    status: undefined,
    summary: 'the blob was withdrawn: what the registry sent does not match its digest',
  },
  // tracker and its API
  TRACKER_UNAVAILABLE: { status: undefined, summary: 'the tracker cannot be reached or answers out of order' },
  TRACKER_REFUSED: { status: undefined, summary: 'the tracker refused the request' },
  CERT_REQUIRED: { status: 401, summary: 'this call needs a valid certificate of the cluster' },
  NODE_DENIED: { status: 403, summary: 'the node is on the deny list' },
  JOIN_TOKEN_REJECTED: { status: 403, summary: 'the join token is unknown, spent, expired or revoked' },
  SERVICE_ACCOUNT_REJECTED: { status: 403, summary: 'the service account token does not enrol a node here' },
  ENROLMENT_REJECTED: { status: 403, summary: 'this way of enrolment is not open here' },
  REVOCATIONS_FULL: { status: undefined, summary: 'there are as many revocations as peers can be told' },
  ADMIN_TOKEN_REQUIRED: { status: 401, summary: 'this call needs the admin token of the tracker' },
  INVALID_REQUEST: { status: 400, summary: 'the request does not fit its schema' },
  NOT_FOUND: { status: 404, summary: 'there is nothing at this address' },
  TOO_MANY_REQUESTS: { status: 429, summary: 'too many requests' },
  // proxy
  CONNECT_TARGET_INVALID: { status: 400, summary: 'a CONNECT target is not of the form host:port' },
  LISTEN_NOT_LOOPBACK: { status: undefined, summary: 'the proxy listens on loopback addresses only' },
  TUNNEL_FAILED: { status: 502, summary: 'the target of a tunnel cannot be reached' },
  HOST_MISDIRECTED: { status: 421, summary: 'a request names another host than the one it was sent to' },
  REQUEST_UNSUPPORTED: { status: 400, summary: 'the proxy does not take this kind of request' },
  REQUEST_FAILED: { status: 500, summary: 'an unexpected fault; the log holds its cause' },
  // cli
  ENGINE_FAILED: {
    status: undefined,
    summary: 'the peer engine of this node has ended or breaks the rules of its front',
  },
  NOT_HEALTHY: { status: undefined, summary: 'no node or tracker answers here' },
  DOCKER_UNAVAILABLE: { status: undefined, summary: 'a Docker daemon cannot be reached or answers out of order' },
  DOCKER_REFUSED: { status: undefined, summary: 'a Docker daemon refused a request' },
  PREHEAT_INCOMPLETE: { status: undefined, summary: 'an image could not be brought to where it should be' },
  ROLLOUT_INCOMPLETE: { status: undefined, summary: 'not every host has the image' },
  CERTIFICATE_UNFIT: {
    status: undefined,
    summary: 'a certificate has expired, ends soon or does not fit the files beside it',
  },
  DEMO_FAILED: { status: undefined, summary: 'the demo did not show what it should' },
} as const satisfies Record<string, ErrorCodeEntry>;

/** A code of {@link ERROR_CODES}; what callers branch on. */
export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * The only error we throw on purpose. `code` is for programs and tests; `message` is for the operator, holds no secret
 * and may change. Detail `reason` says why, detail `advice` says what to do; both end up in the message.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options: { cause?: unknown } = {}) {
    super(formatMessage(code, details), options);
    this.name = 'AppError';
    this.code = code;
    this.details = details;
  }

  /** The HTTP status of {@link ERROR_CODES}, or 500 for codes that should never have reached an API. */
  get status(): number {
    return ERROR_CODES[this.code].status ?? 500;
  }
}

/** Whether `error` is an {@link AppError}, of the given code if one is given. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code);
}

function formatMessage(code: ErrorCode, { reason, advice, ...rest }: ErrorDetails): string {
  const fields = Object.entries(rest)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`);
  const parts = [ERROR_CODES[code].summary as string];
  if (reason !== undefined) parts.push(`: ${reason}`);
  if (fields.length > 0) parts.push(` (${fields.join(', ')})`);
  if (advice !== undefined) parts.push(`. ${advice}`);
  return parts.join('');
}
