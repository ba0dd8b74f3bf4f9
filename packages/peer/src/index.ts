/**
 * The peer engine: swarms over mutual TLS, grants before anything else, pieces verified before they are stored or served.
 * On top of it stand the two uses that the rest of Sealift has for it: blobs for a node's proxy, and the tracker's seeder.
 */
export { ClusterManifests, type ManifestBytes } from './cluster-manifests.ts';
export { PeerEngine, type PeerEngineOptions } from './engine.ts';
export { GrantKeeper, type HeldGrant, type RefreshGrants } from './grant-keeper.ts';
export type { Ingest } from './ingest.ts';
export { DEFAULT_LIMITS, type PeerLimits } from './limits.ts';
export { type EnrolmentToken, NodeIdentity, type NodeIdentityOptions } from './node-identity.ts';
export type { GrantSource, IdentitySource, NodeCredentials, TokenCheck } from './ports.ts';
export { RegistrySeeder } from './registry-seeder.ts';
export { type PeerTokenJudge, RegistryTokenCheck } from './registry-token-check.ts';
export type { Swarm } from './swarm.ts';
export { type FoundBlob, SwarmBlobSource } from './swarm-blob-source.ts';
export { TrackerPause } from './tracker-pause.ts';
