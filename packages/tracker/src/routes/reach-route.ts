import { AppError, plainAddress } from '@sealift/core';
import { ErrorBody, ReachAnswer, ReachRequest, TRACKER_PATHS } from '@sealift/tracker-api';
import type { App } from '../http/app.ts';
import type { PeerDialer } from '../reach/peer-dialer.ts';
import type { Services } from '../services.ts';

/**
 * Dials a node back, for `sealift doctor`. The address is where the call comes from, never one that the caller names: a node
 * can have nobody looked at but itself.
 */
export function registerReachRoute(
  app: App,
  { identity, throttle, dialer }: Pick<Services, 'identity' | 'throttle'> & { dialer: PeerDialer },
): void {
  app.post(
    TRACKER_PATHS.reach,
    {
      schema: {
        summary: 'Whether peers can reach this node',
        description:
          'Dials the address that the call comes from, at the given port, and looks for the certificate of the node that asks. ' +
          'A no comes after a fixed time and gives no reason.',
        security: [{ certificate: [] }],
        body: ReachRequest,
        response: { 200: ReachAnswer, '4xx': ErrorBody },
      },
    },
    async (request) => {
      const node = identity.demand(request);
      throttle.node('reach', node);
      const source = request.raw.socket.remoteAddress;
      if (source === undefined) throw new AppError('INVALID_REQUEST', { reason: 'the caller is gone' });
      const address = plainAddress(source);
      return { address, isReached: await dialer.reaches(node.id, { host: address, port: request.body.port }) };
    },
  );
}
