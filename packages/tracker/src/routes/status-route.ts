import { AppError } from '@sealift/core';
import { ErrorBody, TRACKER_PATHS } from '@sealift/tracker-api';
import { Type } from 'typebox';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';

/** Swarms and nodes listed at most; the counts beside them are of all. */
const MAX_LISTED = 1_000;

const StatusAnswer = Type.Object({
  clusterId: Type.String(),
  startedAt: Type.Integer({ description: 'ms since the epoch' }),
  nodes: Type.Integer({ description: 'Nodes with a certificate that is good now' }),
  denyVersion: Type.Integer(),
  denied: Type.Array(Type.String()),
  swarmCount: Type.Integer(),
  peers: Type.Integer({ description: 'Entries of all nodes in all swarms' }),
  swarms: Type.Array(
    Type.Object({
      swarmId: Type.String(),
      complete: Type.Integer(),
      incomplete: Type.Integer(),
      isSeeding: Type.Boolean({ description: 'Whether the seeder of this tracker serves it or reads it now' }),
    }),
  ),
  counters: Type.Record(Type.String(), Type.Integer()),
});

/** What the tracker is doing, for whoever holds the admin token. */
export function registerStatusRoute(
  app: App,
  {
    state,
    swarms,
    seeder,
    counters,
    startedAt,
  }: Pick<Services, 'state' | 'swarms' | 'seeder' | 'counters'> & { startedAt: number },
): void {
  app.get(
    TRACKER_PATHS.status,
    {
      schema: {
        summary: 'What the tracker is doing',
        description: 'Swarms, peers, counters. Needs the admin token from the data directory of the tracker.',
        security: [{ admin: [] }],
        response: { 200: StatusAnswer, '4xx': ErrorBody },
      },
    },
    async ({ headers }) => {
      if (!state.adminToken.isIn(headers.authorization)) throw new AppError('ADMIN_TOKEN_REQUIRED');
      swarms.expire();
      return {
        clusterId: state.clusterId,
        startedAt,
        nodes: state.nodes.count(),
        denyVersion: state.pushed.current.version,
        denied: state.denyList
          .list()
          .slice(-MAX_LISTED)
          .map(({ nodeId }) => nodeId),
        swarmCount: swarms.swarmCount,
        peers: swarms.size,
        swarms: swarms.list(MAX_LISTED).map((swarm) => ({ ...swarm, isSeeding: seeder.isSeeding(swarm.swarmId) })),
        counters: counters.snapshot(),
      };
    },
  );
}
