import { AppError, addressKey, type BlobRef, isAppError, swarmIdOf } from '@sealift/core';
import { checkCsr } from '@sealift/pki';
import { type EnrolAnswer, ErrorBody, JoinAnswer, JoinRequest, TRACKER_PATHS } from '@sealift/tracker-api';
import type { FastifyRequest } from 'fastify';
import type { GrantHolder } from '../authority.ts';
import { offerCounter } from '../counters.ts';
import type { App } from '../http/app.ts';
import { seedOffer, type WireOffer } from '../right/seed-offer.ts';
import type { Verdict } from '../right/verdict.ts';
import type { Services } from '../services.ts';
import { parseContentRef } from './content-ref.ts';

type Needs = Pick<
  Services,
  | 'config'
  | 'state'
  | 'authority'
  | 'authorizer'
  | 'seeder'
  | 'swarms'
  | 'identity'
  | 'throttle'
  | 'counters'
  | 'refusals'
  | 'log'
>;

/**
 * Up to so many peers, a join names the seeder, which saves the first nodes the way of an announce before they dial. In a
 * larger swarm each dials whom chance gives it: the seeder has no places for all.
 */
const NEW_SWARM_PEERS = 8;

/** Who asks: a node with its certificate, or a stranger who enrols by what this very call proves. */
interface Asker {
  /** For the log: a node id, or nothing yet. */
  readonly nodeId: string | undefined;
  /** Whose refusals are counted together: a node id, or the address of a stranger. */
  readonly name: string;
  /** Whom the grant is for; enrols a stranger, so it is called once the right is proven and not before. */
  admit(): Promise<{ holder: GrantHolder; enrolment?: EnrolAnswer }>;
}

/** The right to one blob, and what the seeder has of it. */
export function registerJoinRoute(app: App, services: Needs): void {
  app.post(
    TRACKER_PATHS.join,
    {
      schema: {
        summary: 'The right to one blob',
        description:
          'Asks the registry with the given Authorization. A yes is a grant bound to the certificate of this connection, ' +
          'or, where enrolment by registry credentials is open, to the one that comes with the answer.',
        security: [{ certificate: [] }, {}],
        body: JoinRequest,
        response: { 200: JoinAnswer, '4xx': ErrorBody },
      },
    },
    async (request) => {
      const asker = await askerOf(request, services);
      const blob = parseContentRef(request.body);
      try {
        return await join(request.body, blob, asker, services);
      } catch (error) {
        if (isAppError(error))
          services.refusals.record(asker.name, 'join_refused', { ...traceOf(asker, blob), code: error.code });
        throw error;
      }
    },
  );
}

async function join(body: JoinRequest, blob: BlobRef, asker: Asker, services: Needs): Promise<JoinAnswer> {
  const { authorizer, authority, counters } = services;
  using ahead = new DisposableStack();
  const verdict = await authorizer.decide(blob, body.authorization, () => {
    ahead.use(openAhead(body, blob, asker, services));
  });
  if (verdict.kind !== 'granted') return refuse(verdict, blob, asker, services);
  const { holder, enrolment } = await asker.admit();
  const [{ grant, claims }, offer] = await Promise.all([
    authority.grantJoin(blob, holder, { authTime: verdict.provenAt }),
    offerOf(body, blob, verdict.size, services),
  ]);
  counters.add('joinsGranted');
  if (verdict.by === 'token') counters.add('joinsGrantedByToken');
  if (body.intent === 'pull') counters.add(offerCounter(offer.kind));
  services.log.debug('join_granted', { nodeId: holder.id, swarmId: claims.swarmId, offer: offer.kind });
  return {
    verdict: 'granted',
    swarmId: claims.swarmId,
    grant,
    grantExpiresAt: claims.expiresAt,
    offer,
    ...(enrolment === undefined ? {} : { enrolment }),
  };
}

function refuse(
  verdict: Exclude<Verdict, { kind: 'granted' }>,
  blob: BlobRef,
  asker: Asker,
  { counters, refusals, log }: Needs,
): JoinAnswer {
  const trace = { ...traceOf(asker, blob), verdict: verdict.kind, reason: verdict.reason };
  refusals.record(asker.name, 'join_refused', trace);
  log.info('join_denied', trace);
  counters.add(verdict.kind === 'denied' ? 'joinsDenied' : 'joinsUnavailable');
  return { verdict: verdict.kind, reason: verdict.reason };
}

/** Has the seeder open the blob while the registry is asked for the right to it; not for a stranger, of whom nothing is known. */
function openAhead(
  { intent, authorization }: JoinRequest,
  blob: BlobRef,
  { nodeId }: Asker,
  { state, seeder }: Needs,
): Disposable | undefined {
  if (intent === 'check' || nodeId === undefined) return undefined;
  const swarmId = swarmIdOf(state.clusterId, blob.registry, blob.digest);
  return seeder.openAhead?.({ blob, swarmId, authorization });
}

async function offerOf(
  { intent, authorization }: JoinRequest,
  blob: BlobRef,
  size: number | undefined,
  { state, seeder, swarms, log }: Needs,
): Promise<WireOffer> {
  if (intent === 'check') return { kind: 'none', reason: 'only a check', ...(size === undefined ? {} : { size }) };
  const swarmId = swarmIdOf(state.clusterId, blob.registry, blob.digest);
  const offer = await seedOffer(seeder, { blob, swarmId, size, authorization }, { log });
  if (offer.kind !== 'swarm' || seeder.zone !== undefined) return offer;
  const { complete, incomplete } = swarms.countsOf(swarmId);
  if (complete + incomplete >= NEW_SWARM_PEERS) return offer;
  return { ...offer, seeder: { nodeId: seeder.nodeId, ...seeder.endpoint } };
}

async function askerOf(request: FastifyRequest<{ Body: JoinRequest }>, services: Needs): Promise<Asker> {
  const { identity, throttle } = services;
  const node = identity.find(request);
  if (node === undefined) return await strangerOf(request, services);
  throttle.node('join', node);
  if (request.body.csr !== undefined) throw invalid('a node with a certificate renews it, it does not enrol again');
  return { nodeId: node.id, name: node.id, admit: async () => ({ holder: node }) };
}

async function strangerOf({ body, ip }: FastifyRequest<{ Body: JoinRequest }>, services: Needs): Promise<Asker> {
  const { config, throttle, authority, counters } = services;
  throttle.stranger(ip);
  if (body.csr === undefined) throw new AppError('CERT_REQUIRED');
  if (!config.registryToken)
    throw new AppError('ENROLMENT_REJECTED', { reason: 'registry credentials do not enrol here' });
  // A blob that anybody may pull without credentials proves nothing about who asks.
  if (body.authorization === undefined) throw new AppError('ENROLMENT_REJECTED', { reason: 'no registry credentials' });
  const csr = await checkCsr(body.csr);
  return {
    nodeId: undefined,
    name: addressKey(ip),
    admit: async () => {
      const { answer, holder } = await authority.enrolNode(csr, { enrolledBy: 'registry-token', name: body.name });
      counters.add('enrolments');
      return { holder, enrolment: answer };
    },
  };
}

function traceOf({ nodeId }: Asker, { registry, repository, digest }: BlobRef): Record<string, string | undefined> {
  return { nodeId, registry, repository, digest };
}

function invalid(reason: string): AppError {
  return new AppError('INVALID_REQUEST', { reason });
}
