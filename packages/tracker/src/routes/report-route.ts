import { parseNodeId, parseSwarmId } from '@sealift/core';
import { ErrorBody, ReportRequest, TRACKER_PATHS } from '@sealift/tracker-api';
import { Type } from 'typebox';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';

/**
 * Takes reports of bad peers and writes them down. It does no more by itself: a false report must not get an honest node
 * denied, and the reporter has already banned the peer for itself.
 */
export function registerReportRoute(
  app: App,
  { identity, throttle, counters, audit }: Pick<Services, 'identity' | 'throttle' | 'counters' | 'audit'>,
): void {
  app.post(
    TRACKER_PATHS.reports,
    {
      schema: {
        summary: 'A peer that broke the rules',
        description: 'Written to the audit log for the operator to judge.',
        security: [{ certificate: [] }],
        body: ReportRequest,
        response: { 204: Type.Null(), '4xx': ErrorBody },
      },
    },
    async (request, reply) => {
      const node = identity.demand(request);
      throttle.node('other', node);
      const { kind } = request.body;
      const swarmId = parseSwarmId(request.body.swarmId);
      const reportedId = parseNodeId(request.body.nodeId);
      counters.add('reports');
      audit.record('peer_reported', { nodeId: node.id, reportedId, swarmId, kind });
      return reply.code(204).send(null);
    },
  );
}
