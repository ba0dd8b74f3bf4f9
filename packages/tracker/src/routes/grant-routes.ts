import { isAppError } from '@sealift/core';
import {
  ErrorBody,
  MAX_GRANT_LENGTH,
  MAX_GRANTS_PER_REFRESH,
  RefreshAnswer,
  RefreshRequest,
  TRACKER_PATHS,
} from '@sealift/tracker-api';
import type { GrantHolder } from '../authority.ts';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';

/** The body of the largest refresh, in bytes: its grants with quotes and commas, and the frame around them. */
const BODY_LIMIT = MAX_GRANTS_PER_REFRESH * (MAX_GRANT_LENGTH + 4) + 1024;

type Needs = Pick<Services, 'authority' | 'identity' | 'throttle' | 'counters' | 'audit'>;
type RefreshedGrant = RefreshAnswer['grants'][number];

/** New grants for old ones. */
export function registerGrantRoutes(app: App, { authority, identity, throttle, counters, audit }: Needs): void {
  app.post(
    TRACKER_PATHS.grants,
    {
      bodyLimit: BODY_LIMIT,
      schema: {
        summary: 'New grants for old ones',
        description:
          'For grants of the same node that ended at most five minutes ago, bound to the certificate shown now. An hour ' +
          'after the registry last proved the right, the new grant is for uploading only.',
        security: [{ certificate: [] }],
        body: RefreshRequest,
        response: { 200: RefreshAnswer, '4xx': ErrorBody },
      },
    },
    async (request) => {
      const node = identity.demand(request);
      throttle.node('other', node);
      const grants: RefreshedGrant[] = [];
      // One after the other: 256 signatures at once would hold up everybody else's.
      const reasons: string[] = [];
      for (const grant of request.body.grants) grants.push(await refresh(grant, node, reasons));
      const refreshed = grants.filter(({ grant }) => grant !== undefined).length;
      counters.add('grantsRefreshed', refreshed);
      const refused = grants.length - refreshed;
      // One line for all: what each is for stands in the line of its join, whose id it keeps.
      audit.record('grants_refreshed', { nodeId: node.id, refreshed, refused, ...countedReasons(reasons) });
      return { grants };
    },
  );

  async function refresh(old: string, holder: GrantHolder, reasons: string[]): Promise<RefreshedGrant> {
    try {
      const { grant, claims } = await authority.refreshGrant(old, holder);
      return { swarmId: claims.swarmId, grant, expiresAt: claims.expiresAt };
    } catch (error) {
      // One grant that is over must not keep the others from being renewed.
      if (!isAppError(error, 'GRANT_REJECTED')) throw error;
      reasons.push(String(error.details['reason']));
      return {};
    }
  }
}

/** The reasons, which come from a closed list, each with its number. */
function countedReasons(reasons: readonly string[]): { reasons?: string } {
  if (reasons.length === 0) return {};
  const counts = [...new Set(reasons)].map((reason) => `${reason}: ${reasons.filter((one) => one === reason).length}`);
  return { reasons: counts.join('; ') };
}
