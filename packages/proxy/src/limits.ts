/** What the proxy allows anybody to make it hold or wait for. Each has a default in {@link DEFAULT_LIMITS}. */
export interface ProxyLimits {
  /** Connections of clients at once; more are closed at once. */
  readonly maxConnections: number;
  /** The same of one address. */
  readonly maxConnectionsPerAddress: number;
  /** Connections that have not sent a request yet; one more takes the place of the oldest. */
  readonly maxSilentConnections: number;
  /** CONNECT requests that are still being set up; more are answered with 429. */
  readonly maxPendingConnects: number;
  /** Bytes of a request's or an answer's head. */
  readonly maxHeaderBytes: number;
  /** Characters of a CONNECT target. */
  readonly maxConnectTargetLength: number;
  /** Requests on one intercepted connection before it is closed. */
  readonly maxRequestsPerConnection: number;
  /** Requests of one connection that may run at once; a client that pipelines more is cut off. */
  readonly maxPipelinedRequests: number;
  /** Longest wait for a whole request head, TLS handshake included, in ms. */
  readonly headersTimeoutMs: number;
  /** How long a connection may stay open between two requests, in ms. */
  readonly keepAliveTimeoutMs: number;
  /** Longest wait for name, TCP and TLS of an upstream, in ms. */
  readonly connectTimeoutMs: number;
  /** Longest silence of an upstream that we wait for, in ms. */
  readonly upstreamIdleTimeoutMs: number;
  /** The same of a registry that supplies the rest of a blob; then it is asked again. */
  readonly restIdleTimeoutMs: number;
  /** Longest silence of a client that we wait for, in ms. */
  readonly clientIdleTimeoutMs: number;
  /** Longest silence in both directions of a tunnel, in ms. */
  readonly tunnelIdleTimeoutMs: number;
  /** Longest wait for a `BlobSource` to open a blob, in ms. */
  readonly openTimeoutMs: number;
  /** After a source that did not do so in time, how long blobs of the same registry pass it by, in ms. */
  readonly openPauseMs: number;
  /** Longest wait for a manifest of the cluster, the question what its tag stands for included, in ms. */
  readonly manifestTimeoutMs: number;
  /** Longest wait for the next chunk of an open blob, in ms. */
  readonly readTimeoutMs: number;
  /** Pauses before a repeated request to an upstream, in ms; their number is the number of repetitions. */
  readonly retryDelaysMs: readonly number[];
  /** Longest wait that a registry gets when it asks for one in the middle of an answer of ours, in ms. */
  readonly maxRetryAfterMs: number;
  /** How long a registry is tunnelled after a client has refused our certificate for it, in ms. */
  readonly distrustMs: number;
  /** How long `stop` lets running responses go on, in ms. */
  readonly stopTimeoutMs: number;
}

/** The limits in production. Tests shorten the times. */
export const DEFAULT_LIMITS: ProxyLimits = Object.freeze({
  // A node runs a handful of pulls, each with fewer than ten connections; at about 100 KiB each this stays near 100 MiB.
  maxConnections: 1024,
  // On loopback the runtime has one address, so it gets most places; where others are let in, none gets all.
  maxConnectionsPerAddress: 768,
  // A runtime asks as soon as it is connected: who has been silent longest is the least likely to be one. Hundreds of
  // requests at once take seconds until the last has its TLS; the rest of an address's places is for those who ask.
  maxSilentConnections: 640,
  // A set-up takes milliseconds, so more than a burst of a runtime means a dead target or somebody who scans through us.
  maxPendingConnects: 640,
  // Node's own 16 KiB is short for a registry token with many scopes; common registries refuse heads above 64 KiB.
  maxHeaderBytes: 64 * 1024,
  // A DNS name (253), a colon and a port (5).
  maxConnectTargetLength: 259,
  // dockerd sends one request per connection, containerd some hundreds. An end to each makes a leak a passing one.
  maxRequestsPerConnection: 10_000,
  // No container runtime pipelines. Without a bound, one connection could start any number of upstream requests.
  maxPipelinedRequests: 4,
  // The client is on this machine; ten seconds are for one that is being swapped out.
  headersTimeoutMs: 10_000,
  // Longer than the pauses of a pull, so that containerd keeps its connections.
  keepAliveTimeoutMs: 60_000,
  // Enough for lost SYNs on a bad link. dockerd gives a blob 75 s of tries, so this must stay well below.
  connectTimeoutMs: 10_000,
  // A registry that assembles a pushed layer, or fetches from its own upstream first, is silent for minutes. dockerd
  // itself was seen to wait more than ten.
  upstreamIdleTimeoutMs: 300_000,
  // Such a registry must get its time here too, or a pull fails that would end well without us. Another try is a way out of a
  // connection that is dead, though, so it comes sooner.
  restIdleTimeoutMs: 120_000,
  // Above the limit for upstreams, so that who waits for a slow registry is not taken for a dead client.
  clientIdleTimeoutMs: 600_000,
  // A tunnel's traffic is not ours to judge; this ends only what both sides forgot.
  tunnelIdleTimeoutMs: 3_600_000,
  // A join asks the tracker, which asks the registry: two round trips and a pause. Then the registry is faster itself.
  openTimeoutMs: 30_000,
  // A disk or a registry that hangs does so for each blob, and an image has many: one wait in two minutes is enough. Each
  // registry has its own, or a slow one would end the sharing of all.
  openPauseMs: 120_000,
  // Two round trips, and two more of the tracker. A pull waits for it with nothing else to do, and the registry is there.
  manifestTimeoutMs: 10_000,
  // The source knows much sooner that a swarm stalls. The last piece of a blob rightly waits until the seeder has read
  // all of it, and if every node went to the registry meanwhile, the swarm would have been for nothing.
  readTimeoutMs: 600_000,
  // dockerd does not repeat GET /v2/ or a manifest request, so a passing fault must end here. Short: a person waits.
  retryDelaysMs: Object.freeze([100, 500]),
  // The body is on its way already, so the choice is to wait or to cut it. Rate limits reckon in some ten seconds.
  maxRetryAfterMs: 30_000,
  // The tries of a pull that began before we were started anew come seconds apart; each that fails begins this again.
  distrustMs: 15_000,
  // Supervisors commonly kill after 10 s; a cut body is resumed by the runtime, so waiting for gigabytes gains nothing.
  stopTimeoutMs: 8000,
});

/** {@link DEFAULT_LIMITS} with some of them replaced. */
export function withDefaultLimits(limits: Partial<ProxyLimits> = {}): ProxyLimits {
  return Object.freeze({ ...DEFAULT_LIMITS, ...limits });
}
