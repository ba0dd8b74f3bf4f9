/**
 * The tracker of a cluster: the swarm CA's desk, the authorizer that asks registries, the swarm table and the announce.
 * It declares the {@link Seeder} it needs and never imports the peer engine that fits it.
 */
export { AUDIT_FILE, type AuditPart, fullPartsIn } from './audit-files.ts';
export { type AuditEvent, type AuditFields, AuditFile, type AuditWriter } from './audit-log.ts';
export { Authority, type GrantHolder, type MintedGrant } from './authority.ts';
export {
  DEFAULT_CERTIFICATE_TTL_MS,
  MAX_CERTIFICATE_TTL_MS,
  MIN_CERTIFICATE_TTL_MS,
} from './certificate-ttl.ts';
export type { PublicRepository, TrackerConfig, TrackerLimits } from './config.ts';
export {
  type KubernetesConfig,
  type ServiceAccountKeys,
  ServiceAccountTokens,
} from './kubernetes/service-account-tokens.ts';
export type { Seeder, SeedOffer, SeedRequest } from './ports.ts';
export { ADMIN_TOKEN_FILE } from './state/admin-token.ts';
export type { Denial, DenyListChange } from './state/deny-list.ts';
export type { JoinTokenInfo } from './state/join-tokens.ts';
export type { NodeRecord } from './state/node-table.ts';
export { endOfRevocation, RevocationList, type RevokedRight } from './state/revocation-list.ts';
export type { RotationStage, SwarmCas } from './state/swarm-cas.ts';
export { openTrackerState, type TrackerState } from './state/tracker-state.ts';
export { Handout, type HandoutPeer, type HandoutZone } from './swarm/handout.ts';
export { type PeerList, PeerSet } from './swarm/peer-list.ts';
export { SwarmTable } from './swarm/swarm-table.ts';
export { ZonePeers } from './swarm/zone-peers.ts';
export { Tracker } from './tracker.ts';
