import { isAppError } from '@sealift/core';
import { checkCsr } from '@sealift/pki';
import { EnrolAnswer, EnrolRequest, ErrorBody, RenewRequest, TRACKER_PATHS } from '@sealift/tracker-api';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';

type Needs = Pick<Services, 'state' | 'authority' | 'identity' | 'throttle' | 'counters' | 'audit' | 'log'>;

/** How a node comes to a certificate, and to the next one. */
export function registerEnrolRoutes(app: App, services: Needs): void {
  const { state, authority, identity, throttle, counters, audit, log } = services;
  app.post(
    TRACKER_PATHS.enrol,
    {
      schema: {
        summary: 'A certificate for a join token',
        description: 'Spends the token unless it is reusable. The node id is chosen by the tracker.',
        body: EnrolRequest,
        response: { 200: EnrolAnswer, '4xx': ErrorBody },
      },
    },
    async ({ body, ip }) => {
      throttle.stranger(ip);
      try {
        // Looked at before the signing request, which costs more, and spent after it, so that a bad one costs no token.
        state.joinTokens.check(body.joinToken);
        const csr = await checkCsr(body.csr);
        const tokenId = state.joinTokens.redeem(body.joinToken);
        const { answer } = await authority.enrolNode(csr, { enrolledBy: 'join-token', tokenId, name: body.name });
        counters.add('enrolments');
        log.info('certificate_issued', { nodeId: answer.nodeId, name: body.name });
        return answer;
      } catch (error) {
        if (isAppError(error)) audit.record('enrolment_refused', { address: ip, code: error.code, ...error.details });
        throw error;
      }
    },
  );
  app.post(
    TRACKER_PATHS.renew,
    {
      schema: {
        summary: 'A certificate for a new key',
        description: 'For a node that shows a good certificate and is not denied. Keeps the node id.',
        security: [{ certificate: [] }],
        body: RenewRequest,
        response: { 200: EnrolAnswer, '4xx': ErrorBody },
      },
    },
    async (request) => {
      const node = identity.demand(request);
      throttle.node('other', node);
      const csr = await checkCsr(request.body.csr);
      const answer = await authority.renewNode(node, csr);
      counters.add('renewals');
      return answer;
    },
  );
}
