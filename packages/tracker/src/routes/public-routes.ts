import { ClusterInfo, TRACKER_PATHS } from '@sealift/tracker-api';
import { Type } from 'typebox';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';

/** What anybody may ask: whether the tracker lives, what it speaks, and what is public about the cluster. */
export function registerPublicRoutes(app: App, { state }: Pick<Services, 'state'>): void {
  app.get(
    TRACKER_PATHS.health,
    {
      schema: {
        summary: 'Whether the tracker lives',
        description: 'Answers as soon as the tracker takes requests. Says nothing about registries.',
        response: { 200: Type.Object({ ok: Type.Boolean() }) },
      },
    },
    async () => ({ ok: true }),
  );
  app.get(
    TRACKER_PATHS.openApi,
    { schema: { summary: 'This document', description: 'OpenAPI 3.1 description of every route.' } },
    async () => app.swagger(),
  );
  app.get(
    TRACKER_PATHS.cluster,
    {
      schema: {
        summary: 'What is public about the cluster',
        description:
          'Trust anchors and the public keys that sign grants and piece hashes. Worth what the connection is.',
        response: { 200: ClusterInfo },
      },
    },
    async () => state.clusterInfo,
  );
}
