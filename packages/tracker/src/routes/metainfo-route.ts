import { AppError, parseDigest, parseRegistryHost, parseRepository, splitHostPort } from '@sealift/core';
import { ErrorBody, TRACKER_PATHS } from '@sealift/tracker-api';
import { Type } from 'typebox';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';

/** Query parameters of the one route that has names in its query; more than these are refused. */
const PARAMETERS = ['registry', 'repository', 'digest'] as const;

/** The metainfo of a blob that anybody may pull, for stock BitTorrent clients with a certificate of the cluster. */
export function registerMetainfoRoute(
  app: App,
  { publicSwarms, identity, throttle }: Pick<Services, 'publicSwarms' | 'identity' | 'throttle'>,
): void {
  app.get(
    TRACKER_PATHS.metainfo,
    {
      schema: {
        summary: 'The .torrent of a public blob',
        description:
          'Query: `registry`, `repository`, `digest`. Only for repositories that the operator has opened, and blobs that ' +
          'the registry lets anybody pull without credentials.',
        security: [{ certificate: [] }],
        response: { 200: Type.Any(), '4xx': ErrorBody },
      },
    },
    async (request, reply) => {
      throttle.node('join', identity.demand(request));
      const { registry, repository, digest } = fieldsOf(request.raw.url ?? '');
      const blob = {
        registry: parseRegistryHost(registry),
        repository: parseRepository(repository),
        digest: parseDigest(digest),
      };
      const { bytes } = await publicSwarms.open(blob, { announce: announceUrl(request.headers.host) });
      return reply.type('application/x-bittorrent').send(bytes);
    },
  );
}

function fieldsOf(url: string): Record<(typeof PARAMETERS)[number], string> {
  const at = url.indexOf('?');
  const query = new URLSearchParams(at === -1 ? '' : url.slice(at + 1));
  const [registry, repository, digest] = PARAMETERS.map((name) => query.get(name) ?? '');
  if (query.size !== PARAMETERS.length)
    throw new AppError('INVALID_REQUEST', { reason: 'name registry, repository and digest' });
  return { registry: registry ?? '', repository: repository ?? '', digest: digest ?? '' };
}

/** Where the client has just reached us. It holds the name against our certificate, as it did for this request. */
function announceUrl(host = ''): string {
  if (splitHostPort(host) === undefined)
    throw new AppError('INVALID_REQUEST', { reason: 'no Host that a client could dial' });
  return `https://${host}${TRACKER_PATHS.announce}`;
}
