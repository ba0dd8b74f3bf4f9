import { randomBytes } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { encodeAnnounceQuery, peerIdOf } from '@sealift/bittorrent';
import { parseNodeId, parseSwarmId, type SwarmId } from '@sealift/core';
import { createSigningRequest } from '@sealift/pki';
import { TRACKER_PATHS } from '@sealift/tracker-api';
import { answerQuestions } from '../harness/party-side.ts';
import { type RawAnswer, RawClient } from './raw-client.ts';
import type { LoadMember, TrackerAddress } from './tracker-party.ts';

/** Requests under way at once: enough that the tracker never waits for us. */
const CONCURRENCY = 64;
/** Handshakes under way at once. */
const DIALS = 32;
/** Signing requests made beforehand; the tracker does the same work for one that it has seen. */
const SIGNING_REQUESTS = 64;

/** The blob that everybody joins. */
export interface JoinTarget {
  readonly registry: string;
  readonly repository: string;
  readonly digest: string;
}

/** How much was done in what time. */
export interface LoadResult {
  readonly count: number;
  readonly seconds: number;
}

interface LoadNode {
  readonly client: RawClient;
  readonly member: LoadMember;
}

let tracker: TrackerAddress | undefined;
let privateKeyPem = '';
let csrs: readonly string[] = [];
let anonymous: SecureContext | undefined;
const nodes: LoadNode[] = [];

answerQuestions({
  start: async (address: TrackerAddress): Promise<string> => {
    tracker = address;
    anonymous = createSecureContext({ minVersion: 'TLSv1.3', ca: address.trustAnchors });
    const own = await createSigningRequest();
    privateKeyPem = own.privateKeyPem;
    csrs = await Promise.all(
      Array.from({ length: SIGNING_REQUESTS }, async () => (await createSigningRequest()).csrPem),
    );
    // All nodes of this process share a key: to the tracker they differ by their certificates.
    return own.csrPem;
  },
  connect: async (members: readonly LoadMember[]): Promise<void> => {
    const { port, trustAnchors } = demandTracker();
    const waiting = [...members];
    await inParallel(DIALS, async () => {
      const member = waiting.pop();
      if (member === undefined) return false;
      const { certificatePem: cert } = member;
      const context = createSecureContext({ minVersion: 'TLSv1.3', ca: trustAnchors, cert, key: privateKeyPem });
      const client = await RawClient.dial(port, context);
      // At once: the tracker cuts connections that say nothing.
      demandAnnounced(await client.send(announceOf(member, 'started')));
      nodes.push({ client, member });
      return true;
    });
  },
  announceAll: async ({ event }: { event: 'started' | 'stopped' }): Promise<LoadResult> => {
    let next = 0;
    return await timed(async () => {
      const node = nodes[next];
      next += 1;
      if (node === undefined) return false;
      demandAnnounced(await node.client.send(announceOf(node.member, event)));
      return true;
    });
  },
  announces: ({ seconds }: { seconds: number }): Promise<LoadResult> =>
    forSome(seconds, async ({ client, member }) => demandAnnounced(await client.send(announceOf(member)))),
  joins: ({ seconds, target, isKnown }: { seconds: number; target: JoinTarget; isKnown: boolean }) =>
    forSome(seconds, async ({ client }) => demandGranted(await client.send(joinOf(target, isKnown)))),
  enrolments: async ({ seconds }: { seconds: number }): Promise<LoadResult> => {
    const { port, joinToken } = demandTracker();
    const until = performance.now() + seconds * 1000;
    let count = 0;
    return await timed(async () => {
      if (performance.now() >= until) return false;
      count += 1;
      // A connection each, as every new node makes one.
      const client = await RawClient.dial(port, anonymous as SecureContext);
      const csr = csrs[count % csrs.length];
      demandOk(await client.send(post(TRACKER_PATHS.enrol, { csr, joinToken, name: 'bench' })));
      client.close();
      return true;
    });
  },
});

/** Runs `act` for one node after the other, many at once, for some seconds. */
async function forSome(seconds: number, act: (node: LoadNode) => Promise<void>): Promise<LoadResult> {
  const until = performance.now() + seconds * 1000;
  const idle = [...nodes];
  return await timed(async () => {
    if (performance.now() >= until) return false;
    const node = idle.shift();
    if (node === undefined) throw new Error('there are fewer nodes than requests at once');
    await act(node);
    idle.push(node);
    return true;
  });
}

/** Repeats `act`, several at once, until it says no; counts how often it said yes. */
async function timed(act: () => Promise<boolean>): Promise<LoadResult> {
  const startedAt = performance.now();
  let count = 0;
  await inParallel(CONCURRENCY, async () => {
    const isDone = await act();
    if (isDone) count += 1;
    return isDone;
  });
  return { count, seconds: (performance.now() - startedAt) / 1000 };
}

async function inParallel(width: number, act: () => Promise<boolean>): Promise<void> {
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (await act());
    }),
  );
}

function announceOf({ nodeId, grant }: LoadMember, event?: 'started' | 'stopped'): string {
  const query = encodeAnnounceQuery({
    swarmId: swarmId(),
    ...(event === undefined ? {} : { event }),
    left: 1,
    uploaded: 0,
    downloaded: 0,
    port: 7_444,
    numwant: 50,
    grant,
    denyVersion: 0,
    peerId: peerIdOf(parseNodeId(nodeId)),
  });
  return `GET ${TRACKER_PATHS.announce}?${query} HTTP/1.1\r\nhost: tracker\r\nauthorization: Bearer ${grant}\r\n\r\n`;
}

/** With a header that nobody has shown before, so that the tracker must ask the registry, or always the same one. */
function joinOf({ registry, repository, digest }: JoinTarget, isKnown: boolean): string {
  const authorization = `Bearer ${isKnown ? 'known' : randomBytes(24).toString('base64url')}`;
  return post(TRACKER_PATHS.join, { registry, repository, digest, authorization, intent: 'pull' });
}

function post(path: string, value: object): string {
  const body = JSON.stringify(value);
  const head = `POST ${path} HTTP/1.1\r\nhost: tracker\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  return `${head}\r\n\r\n${body}`;
}

function demandOk({ status, body }: RawAnswer): void {
  if (status !== 200) throw new Error(`the tracker answered ${status}: ${body.toString().slice(0, 200)}`);
}

function demandGranted(answer: RawAnswer): void {
  demandOk(answer);
  if (!answer.body.includes('"verdict":"granted"')) throw new Error(answer.body.toString().slice(0, 200));
}

function demandAnnounced(answer: RawAnswer): void {
  demandOk(answer);
  if (answer.body.includes('failure reason')) throw new Error(answer.body.toString('latin1'));
}

function swarmId(): SwarmId {
  return parseSwarmId(demandTracker().swarmId);
}

function demandTracker(): TrackerAddress {
  if (tracker === undefined) throw new Error('not started');
  return tracker;
}
