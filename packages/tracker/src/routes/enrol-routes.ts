import { AppError, addressKey, isAppError } from '@sealift/core';
import { checkCsr } from '@sealift/pki';
import { EnrolAnswer, EnrolRequest, ErrorBody, RenewRequest, TRACKER_PATHS } from '@sealift/tracker-api';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';
import type { EnrolledBy } from '../state/node-table.ts';

type Needs = Pick<
  Services,
  'state' | 'authority' | 'identity' | 'throttle' | 'serviceAccounts' | 'counters' | 'refusals' | 'log'
>;

/** Longest name of a node, in characters; those of Kubernetes may be longer. */
const MAX_NAME_LENGTH = 63;

/** What lets a node in: looked at before its signing request, which costs more, and used up after it. */
interface Admission {
  readonly enrolledBy: EnrolledBy;
  readonly name: string | undefined;
  readonly subject?: string;
  /** Uses it up; returns what the node is written down with. */
  redeem(): string | undefined;
}

/** How a node comes to a certificate, and to the next one. */
export function registerEnrolRoutes(app: App, services: Needs): void {
  const { authority, identity, throttle, counters, refusals, log } = services;
  app.post(
    TRACKER_PATHS.enrol,
    {
      schema: {
        summary: 'A certificate for a join token or a service account token',
        description: 'Spends a join token unless it is reusable. The node id is chosen by the tracker.',
        body: EnrolRequest,
        response: { 200: EnrolAnswer, '4xx': ErrorBody },
      },
    },
    async ({ body, ip }) => {
      throttle.stranger(ip);
      try {
        const { redeem, ...admitted } = await admissionOf(body, services);
        const csr = await checkCsr(body.csr);
        const { answer } = await authority.enrolNode(csr, { ...admitted, tokenId: redeem() });
        counters.add('enrolments');
        log.info('certificate_issued', { nodeId: answer.nodeId, name: admitted.name });
        return answer;
      } catch (error) {
        if (isAppError(error)) {
          const trace = { address: ip, code: error.code, ...error.details };
          refusals.record(addressKey(ip), 'enrolment_refused', trace);
        }
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

async function admissionOf(body: EnrolRequest, services: Needs): Promise<Admission> {
  const { joinToken, serviceAccountToken, name } = body;
  const { joinTokens } = services.state;
  if (joinToken !== undefined && serviceAccountToken === undefined) {
    joinTokens.check(joinToken);
    return { enrolledBy: 'join-token', name, redeem: () => joinTokens.redeem(joinToken) };
  }
  if (serviceAccountToken !== undefined && joinToken === undefined) {
    return await admitServiceAccount(serviceAccountToken, name, services);
  }
  throw new AppError('INVALID_REQUEST', { reason: 'give one token, of a kind that enrols' });
}

async function admitServiceAccount(
  token: string,
  ownName: string | undefined,
  { serviceAccounts, state }: Needs,
): Promise<Admission> {
  if (serviceAccounts === undefined)
    throw new AppError('ENROLMENT_REJECTED', { reason: 'service accounts do not enrol here' });
  const { subject, node, pod } = await serviceAccounts.verify(token);
  const enrolledBy = 'service-account';
  const tokenId = node === undefined ? pod && `pod ${pod}` : `node ${node}`;
  // All pods of a service account share its name, but a machine that was denied must not come back by its next token.
  if (tokenId !== undefined && state.nodes.isDenied({ enrolledBy, tokenId })) {
    throw new AppError('NODE_DENIED', { tokenId });
  }
  // The API server's word before the node's own.
  return { enrolledBy, subject, name: (node ?? pod)?.slice(0, MAX_NAME_LENGTH) ?? ownName, redeem: () => tokenId };
}
