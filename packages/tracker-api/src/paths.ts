/** Where each call of the tracker lives. Server and client read the same table, so that they cannot drift apart. */
export const TRACKER_PATHS = {
  health: '/healthz',
  openApi: '/openapi.json',
  cluster: '/v1/cluster',
  enrol: '/v1/enrol',
  renew: '/v1/renew',
  join: '/v1/join',
  manifest: '/v1/manifest',
  grants: '/v1/grants',
  reports: '/v1/reports',
  reach: '/v1/reach',
  metainfo: '/v1/metainfo',
  status: '/v1/status',
  announce: '/announce',
  scrape: '/scrape',
} as const;
