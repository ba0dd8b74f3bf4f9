import { type BlobRef, isAppError } from '@sealift/core';
import { ErrorBody, ManifestAnswer, ManifestRequest, TRACKER_PATHS } from '@sealift/tracker-api';
import type { App } from '../http/app.ts';
import { BytesUnderWay } from '../http/bytes-under-way.ts';
import type { Services } from '../services.ts';
import { parseContentRef } from './content-ref.ts';

/** Bytes of manifests that may be on their way to nodes: ten thousand ordinary ones. Past it nodes ask the registry. */
const MAX_BYTES_UNDER_WAY = 64 * 1024 * 1024;

type Needs = Pick<Services, 'manifests' | 'identity' | 'throttle' | 'counters' | 'refusals' | 'audit' | 'log'>;

/** One manifest by its digest, for whoever the registry says may pull it. */
export function registerManifestRoute(app: App, services: Needs): void {
  const underWay = new BytesUnderWay({ maxBytes: MAX_BYTES_UNDER_WAY });
  app.post(
    TRACKER_PATHS.manifest,
    {
      schema: {
        summary: 'One manifest by its digest',
        description:
          'Asks the registry with the given Authorization. After a yes the manifest is read once for the whole cluster.',
        security: [{ certificate: [] }],
        body: ManifestRequest,
        response: { 200: ManifestAnswer, '4xx': ErrorBody },
      },
    },
    async (request, reply): Promise<ManifestAnswer> => {
      const { identity, throttle, manifests, counters, audit, log } = services;
      const node = identity.demand(request);
      throttle.node('join', node);
      const ref = parseContentRef(request.body);
      const outcome = await manifests.get(ref, request.body.authorization).catch((error: unknown) => {
        if (isAppError(error)) record(services, node.id, ref, { code: error.code });
        throw error;
      });
      if (outcome.kind !== 'manifest') {
        const { kind: verdict, reason } = outcome;
        record(services, node.id, ref, { verdict, reason });
        log.info('manifest_denied', { nodeId: node.id, ...ref, verdict, reason });
        counters.add(verdict === 'denied' ? 'manifestsDenied' : 'manifestsUnavailable');
        return { verdict, reason };
      }
      const { bytes, mediaType } = outcome.manifest;
      if (!underWay.admit(reply.raw, bytes.length)) return { verdict: 'unavailable', reason: 'too many ask' };
      counters.add('manifestsServed');
      audit.record('manifest_served', { nodeId: node.id, ...ref });
      return { verdict: 'granted', mediaType, bytes: bytes.toString('base64') };
    },
  );
}

function record(
  { refusals }: Needs,
  nodeId: string,
  ref: BlobRef,
  why: { code: string } | { verdict: string; reason: string },
): void {
  refusals.record(nodeId, 'manifest_refused', { nodeId, ...ref, ...why });
}
