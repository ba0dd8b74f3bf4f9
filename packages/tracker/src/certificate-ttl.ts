/** Default life of a node certificate, in ms. */
export const DEFAULT_CERTIFICATE_TTL_MS = 60 * 60_000;

/** Longest life of a node certificate, in ms: how long a denied node must be named to its peers. */
export const MAX_CERTIFICATE_TTL_MS = 24 * 60 * 60_000;

/**
 * Shortest life of a node certificate, in ms: a renewal at two thirds must have time for a second attempt. Connections end
 * with it, so anything below some minutes is for trying things out.
 */
export const MIN_CERTIFICATE_TTL_MS = 5_000;
