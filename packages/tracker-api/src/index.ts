/**
 * What tracker and nodes say to each other: message schemas, grants, and the node's client. No server and no state, so
 * that a node need not import the tracker for its vocabulary.
 */
export { GRANT_AUDIENCE, GRANT_TYPE, type GrantClaims, type GrantUse, mintGrant } from './grant.ts';
export { GrantVerifier } from './grant-verifier.ts';
export {
  ClusterInfo,
  EnrolAnswer,
  EnrolRequest,
  ErrorBody,
  JoinAnswer,
  JoinRequest,
  MAX_AUTHORIZATION_LENGTH,
  MAX_CSR_LENGTH,
  MAX_GRANT_LENGTH,
  MAX_GRANTS_PER_REFRESH,
  MAX_MANIFEST_BYTES,
  MAX_SERVICE_ACCOUNT_TOKEN_LENGTH,
  ManifestAnswer,
  ManifestRequest,
  type PublicJwk,
  ReachAnswer,
  ReachRequest,
  RefreshAnswer,
  RefreshRequest,
  RenewRequest,
  ReportRequest,
} from './messages.ts';
export { TRACKER_PATHS } from './paths.ts';
export { TrackerClient } from './tracker-client.ts';
