import type { Clock, Logger } from '@sealift/core';
import type { AuditWriter } from './audit-log.ts';
import type { Authority } from './authority.ts';
import type { ResolvedConfig } from './config.ts';
import type { Counters } from './counters.ts';
import type { ClientIdentity } from './http/client-identity.ts';
import type { ServiceAccountTokens } from './kubernetes/service-account-tokens.ts';
import type { Manifests } from './manifests/manifests.ts';
import type { Seeder } from './ports.ts';
import type { RefusalTrace } from './refusal-trace.ts';
import type { Authorizer } from './right/authorizer.ts';
import type { PublicSwarms } from './right/public-swarms.ts';
import type { TrackerState } from './state/tracker-state.ts';
import type { SwarmTable } from './swarm/swarm-table.ts';
import type { Throttle } from './throttle.ts';

/** What the routes share. Each takes what it needs of it. */
export interface Services {
  readonly config: ResolvedConfig;
  readonly state: TrackerState;
  readonly authority: Authority;
  readonly authorizer: Authorizer;
  readonly manifests: Manifests;
  readonly publicSwarms: PublicSwarms;
  readonly seeder: Seeder;
  readonly swarms: SwarmTable;
  readonly identity: ClientIdentity;
  readonly throttle: Throttle;
  /** Absent where service accounts enrol nobody. */
  readonly serviceAccounts: ServiceAccountTokens | undefined;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: AuditWriter;
  /** The way into the audit log for refusals that the refused can repeat at will. */
  readonly refusals: RefusalTrace;
}
