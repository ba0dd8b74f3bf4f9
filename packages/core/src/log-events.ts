/** Every event that Sealift logs, one snake_case name each. Ids are fields of the line, never part of the name. */
export const LOG_EVENTS = [
  // cli
  'started',
  'stopping',
  'stopped',
  'fatal',
  // node identity
  'enrolled',
  'enrolment_failed',
  'engine_failed',
  'engine_exited',
  'report_failed',
  'store_unavailable',
  'admin_failed',
  'certificate_renewed',
  'certificate_renewal_failed',
  'clock_skewed',
  // tracker
  'request_failed',
  'certificate_issued',
  'repository_public',
  'join_granted',
  'join_denied',
  'announce_refused',
  'node_denied',
  'grants_revoked',
  'audit_failed',
  'audit_part_removed',
  'ca_changed',
  'service_account_keys_failed',
  'ca_rotation_failed',
  // registry tokens
  'registry_key_pinned',
  'registry_key_dropped',
  'registry_keys_failed',
  // seeder
  'ingest_started',
  'ingest_finished',
  'ingest_failed',
  'blob_withdrawn',
  // peer
  'peer_listening',
  'peer_connected',
  'peer_refused',
  'peer_closed',
  'peer_banned',
  'piece_rejected',
  'announce_failed',
  'swarm_joined',
  'swarm_public',
  'swarm_left',
  'swarm_stalled',
  // store
  'store_opened',
  'store_blob_dropped',
  'store_blob_evicted',
  'store_disk_failed',
  'store_disk_recovered',
  'store_write_failed',
  'store_blob_checked',
  'store_sync_failed',
  // proxy
  'trust_written',
  'trust_removed',
  'trust_skipped',
  'connect_refused',
  'blob_served',
  'blob_fallback',
  'pass_through_failed',
] as const;

/** A name of {@link LOG_EVENTS}. */
export type LogEvent = (typeof LOG_EVENTS)[number];
