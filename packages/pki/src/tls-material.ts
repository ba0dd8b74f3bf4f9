/** What one end of a cluster's TLS needs, in PEM. */
export interface TlsMaterial {
  /** The swarm CA certificates, and nothing else; two during a rotation. */
  readonly trustAnchors: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Longest TLS handshake that a server waits for, in ms. Node's own limit is two minutes, which strangers could use up. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
