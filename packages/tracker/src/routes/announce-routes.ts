import {
  ANNOUNCE_KEYS,
  type AnnounceExtras,
  type BencodeInput,
  encodeAnnounceExtras,
  encodeBencode,
} from '@sealift/bittorrent';
import { AppError, ERROR_CODES, isAppError, type SwarmId } from '@sealift/core';
import type { Identity } from '@sealift/pki';
import { TRACKER_PATHS } from '@sealift/tracker-api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App } from '../http/app.ts';
import type { Services } from '../services.ts';
import type { AnnouncedPeer } from '../swarm/announce-encoding.ts';
import { type AnnounceQuery, parseAnnounceQuery, parseScrapeQuery } from '../swarm/announce-query.ts';
import { AnnounceResponder, type AnnounceResponse } from '../swarm/announce-responder.ts';
import { parsePeerAddress } from '../swarm/peer-address.ts';

/** Share of the interval by which announces of one moment are spread, so that a rollout does not come back as a wave. */
const JITTER = 0.1;
/** What stands before a grant in its header. */
const BEARER = 'Bearer ';

type Needs = Pick<
  Services,
  | 'config'
  | 'state'
  | 'authority'
  | 'seeder'
  | 'swarms'
  | 'publicSwarms'
  | 'identity'
  | 'throttle'
  | 'counters'
  | 'refusals'
  | 'log'
> & { readonly random: () => number };

/** BEP 3 announce and BEP 48 scrape of one swarm, both for holders of a grant only. Returns how to end them. */
export function registerAnnounceRoutes(app: App, services: Needs): { stop(): void } {
  const { config, swarms, counters, log } = services;
  const responder = new AnnounceResponder({
    intervalMs: config.announceIntervalMs,
    onWarning: (error) => log.debug('announce_refused', { error }),
  });
  app.get(
    TRACKER_PATHS.announce,
    {
      schema: {
        summary: 'Announce (BEP 3, 23)',
        description:
          'Query as in BEP 3, with `deny_version` and `zone`; answer in bencode, with `sl_deny_version`, `sl_deny` and `sl_revoked`. Refusals are a ' +
          '`failure reason` that starts with an error code. Peer id and, unless `ip` says otherwise, address are taken ' +
          'from the connection.',
        security: [{ certificate: [], grant: [] }],
      },
    },
    async (request, reply) => {
      const admitted = await answerRefusals(
        request,
        reply,
        services,
        (node) => admit(node, request, services),
        (error) => denyNews(error, request, services),
      );
      if (admitted === undefined) return reply;
      counters.add('announces');
      void reply.hijack();
      responder.respond(request.raw, reply.raw, admitted);
      return reply;
    },
  );
  app.get(
    TRACKER_PATHS.scrape,
    {
      schema: {
        summary: 'Scrape (BEP 48)',
        description: 'Counts of the one swarm that the grant is for. Without `info_hash` there is nothing to see.',
        security: [{ certificate: [], grant: [] }],
      },
    },
    async (request, reply) => {
      const swarmId = await answerRefusals(request, reply, services, async (node) => {
        const asked = parseScrapeQuery(queryOf(request));
        await demandGrant(request, node, asked, services);
        return asked;
      });
      if (swarmId === undefined) return reply;
      const { complete, incomplete } = swarms.countsOf(swarmId);
      return sendBencode(reply, scrapeAnswer(swarmId, complete, incomplete));
    },
  );
  return { stop: () => responder.stop() };
}

/**
 * The deny list, for a node whose grant is refused: if it was revoked, the node must hear of it, or it goes on to honour the
 * grants of others in its place.
 */
function denyNews(error: AppError, request: FastifyRequest, { config, state }: Needs): [string, BencodeInput][] {
  if (error.code !== 'GRANT_REJECTED') return [];
  const { denyVersion } = parseAnnounceQuery(queryOf(request));
  const { current } = state.pushed;
  if (denyVersion === current.version) return [];
  const interval = Math.max(1, Math.round(config.announceIntervalMs / 1000));
  return [['interval', interval], ...Object.entries(encodeAnnounceExtras(current, denyVersion))];
}

async function admit(
  node: Identity,
  request: FastifyRequest,
  services: Needs,
): Promise<{ swarmId: SwarmId; isCompact: boolean; response: AnnounceResponse }> {
  const query = parseAnnounceQuery(queryOf(request));
  const { swarmId, isCompact } = query;
  const host = parsePeerAddress(query.ip ?? request.ip);
  const isStock = request.headers.authorization === undefined;
  const publicId = isStock ? services.publicSwarms.swarmOf(query.swarmId) : undefined;
  if (publicId !== undefined) {
    return { swarmId, isCompact, response: respondToStock({ ...query, swarmId: publicId }, services) };
  }
  await demandGrant(request, node, query.swarmId, services);
  // Again, after the wait: a node that was denied meanwhile must not get back into the table.
  services.identity.demand(request);
  return { swarmId, isCompact, response: respond(node, query, host, services) };
}

/**
 * A stock client in a public swarm hears of all others, and nobody of it: our nodes could not dial it, since it has no grant
 * to show. It dials them, also when it has all and they have not.
 */
function respondToStock(query: AnnounceQuery, { config, seeder, swarms }: Needs): AnnounceResponse {
  const { swarmId, left, wanted, event } = query;
  const isStopped = event === 'stopped';
  const { complete, incomplete, peers } = swarms.peek({
    swarmId,
    isComplete: left === 0,
    wanted: isStopped ? 0 : wanted,
  });
  const isSeederWanted = left > 0 && !isStopped && seeder.isSeeding(swarmId);
  return {
    interval: Math.max(1, Math.round(config.announceIntervalMs / 1000)),
    complete,
    incomplete,
    peers: isSeederWanted ? [seederPeer(seeder), ...peers] : peers,
    extras: {},
  };
}

function respond(node: Identity, query: AnnounceQuery, host: string, services: Needs): AnnounceResponse {
  const { swarmId, left, port, zone, wanted, event, denyVersion } = query;
  const { state, seeder, swarms, publicSwarms, random } = services;
  const isStopped = event === 'stopped';
  const { complete, incomplete, peers, mayCross, intervalMs } = swarms.announce({
    swarmId,
    nodeId: node.id,
    host,
    port,
    zone,
    isComplete: left === 0,
    isStopped,
    wanted,
  });
  // First, because it has what nobody else has yet. Of no use to a node that needs nothing.
  const isFar = zone !== undefined && seeder.zone !== undefined && zone !== seeder.zone;
  const isSeederWanted = left > 0 && !isStopped && (!isFar || mayCross) && seeder.isSeeding(swarmId);
  const jitter = 1 + JITTER * (2 * random() - 1);
  return {
    interval: Math.max(1, Math.round((intervalMs * jitter) / 1000)),
    complete,
    incomplete,
    peers: isSeederWanted ? [seederPeer(seeder), ...peers] : peers,
    extras: extrasOf(encodeAnnounceExtras(state.pushed.current, denyVersion), publicSwarms.infoHashOf(swarmId)),
  };
}

/** Tells a node also that its swarm is public, where it is, so that it lets stock clients in. */
function extrasOf(deny: AnnounceExtras, infoHash: SwarmId | undefined): AnnounceExtras {
  return infoHash === undefined ? deny : { ...deny, [ANNOUNCE_KEYS.publicInfoHash]: Buffer.from(infoHash, 'hex') };
}

/** What answers name as the seeder. */
const seederPeers = new WeakMap<Services['seeder'], AnnouncedPeer>();

/** The seeder as a peer, the same object while it stays where it is, so that it is encoded once. */
function seederPeer(seeder: Services['seeder']): AnnouncedPeer {
  const { host, port } = seeder.endpoint;
  const known = seederPeers.get(seeder);
  if (known?.host === host && known.port === port) return known;
  const peer = { nodeId: seeder.nodeId, host, port };
  seederPeers.set(seeder, peer);
  return peer;
}

/** Throws `GRANT_REJECTED` unless the request shows a grant of this node, with this certificate, for this swarm. */
async function demandGrant(
  { headers }: FastifyRequest,
  node: Identity,
  swarmId: SwarmId,
  { authority }: Needs,
): Promise<void> {
  const { authorization = '' } = headers;
  if (!authorization.startsWith(BEARER)) throw new AppError('GRANT_REJECTED', { reason: 'no grant was shown' });
  await authority.verifyGrant(authorization.slice(BEARER.length), { swarmId, holder: node });
}

/** Runs `work` for the node that asks; answers a refusal as BEP 3 wants it, with status 200, and gives `undefined`. */
async function answerRefusals<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  { identity, throttle, counters, refusals }: Needs,
  work: (node: Identity) => Promise<T>,
  besides: (error: AppError) => readonly (readonly [string, BencodeInput])[] = () => [],
): Promise<T | undefined> {
  let nodeId: string | undefined;
  try {
    const node = identity.demand(request);
    nodeId = node.id;
    throttle.node('announce', node);
    return await work(node);
  } catch (error) {
    if (!isAppError(error)) throw error;
    counters.add('announcesRefused');
    if (nodeId !== undefined) {
      const trace = { nodeId, code: error.code, reason: String(error.details['reason'] ?? '') };
      refusals.record(nodeId, 'announce_refused', trace);
    }
    const reason = `${error.code}: ${ERROR_CODES[error.code].summary}`;
    sendBencode(reply, encodeBencode(new Map<string, BencodeInput>([['failure reason', reason], ...besides(error)])));
    return undefined;
  }
}

function scrapeAnswer(swarmId: SwarmId, complete: number, incomplete: number): Buffer {
  const counts = new Map([
    ['complete', complete],
    ['downloaded', complete],
    ['incomplete', incomplete],
  ]);
  // A key of 20 bytes; latin1 keeps each of them one character.
  const key = Buffer.from(swarmId, 'hex').toString('latin1');
  return encodeBencode(new Map([['files', new Map([[key, counts]])]]));
}

function sendBencode(reply: FastifyReply, bytes: Buffer): FastifyReply {
  return reply.type('text/plain').send(bytes);
}

function queryOf({ raw }: FastifyRequest): string {
  const url = raw.url ?? '';
  const at = url.indexOf('?');
  return at === -1 ? '' : url.slice(at + 1);
}
