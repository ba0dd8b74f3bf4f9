/** Many peers in one process, with a certificate and a grant each and no interest in anything: the crowd of an overload. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import { encodeAnnounceQuery, peerIdOf } from '@sealift/bittorrent';
import { parseNodeId, parseSwarmId } from '@sealift/core';
import { createSigningRequest, fetchTrustAnchor, parseTrackerAddress } from '@sealift/pki';
import { type EnrolAnswer, type JoinAnswer, TRACKER_PATHS } from '@sealift/tracker-api';
import { answerQuestions } from '../bench/harness/party-side.ts';
import { type RawAnswer, RawClient } from '../bench/tracker/raw-client.ts';
import { RawPeer } from '../packages/peer/src/raw-peer.fixture.ts';
import { type CrowdOrder, type CrowdResult, crowdAddress } from './crowd-order.ts';

/** Connections set up at once. */
const WIDTH = 48;
const TRACKER_PORT = 7443;
/** How long the crowd of a seeder stays, in ms. */
const STAY_MS = 3_000;

interface Member {
  readonly localAddress: string;
  readonly nodeId: string;
  readonly certificatePem: string;
  readonly swarmId: string;
  readonly grant: string;
}

let order: CrowdOrder | undefined;
let trustAnchors = '';
let privateKeyPem = '';
const members: Member[] = [];

answerQuestions({
  enrol: async (given: CrowdOrder): Promise<object> => {
    order = given;
    const { origin, fingerprint } = parseTrackerAddress(given.tracker);
    if (fingerprint === undefined) throw new Error('the address has no fingerprint');
    const signal = AbortSignal.timeout(60_000);
    trustAnchors = await fetchTrustAnchor({ origin, fingerprint }, { signal });
    const joinToken = (await readFile(given.joinTokenFile, 'utf8')).trim();
    // One key for all: to the tracker they differ by their certificates.
    const own = await createSigningRequest();
    privateKeyPem = own.privateKeyPem;
    await inParallel(given.peers, async (index) => {
      members.push(await enrol(given, { index, joinToken, csr: own.csrPem }));
    });
    return {};
  },
  run: async (): Promise<CrowdResult> => {
    if (order === undefined) throw new Error('nobody is enrolled');
    const { kind, host, seederPort } = order;
    const latenciesMs: number[] = [];
    const reasons: string[] = [];
    const peers: RawPeer[] = [];
    await inParallel(members.length, async (index) => {
      const member = members[index] as Member;
      const startedAt = performance.now();
      try {
        if (kind === 'announce') await announce(member, host);
        else peers.push(await connect(member, { host, port: seederPort }));
        latenciesMs.push(performance.now() - startedAt);
      } catch (error) {
        reasons.push(error instanceof Error ? error.message : String(error));
      }
    });
    if (kind === 'connect') await delay(STAY_MS);
    for (const { socket } of peers) socket.destroy();
    latenciesMs.sort((a, b) => a - b);
    return { latenciesMs, refused: reasons.length, reasons: [...new Set(reasons)].slice(0, 5) };
  },
});

async function enrol(
  { host, registry, repository, digests, authorization }: CrowdOrder,
  { index, joinToken, csr }: { index: number; joinToken: string; csr: string },
): Promise<Member> {
  const localAddress = crowdAddress(index);
  const stranger = await RawClient.dial(TRACKER_PORT, contextOf(), { host, localAddress });
  const enrolled = parse<EnrolAnswer>(
    await stranger.send(post(TRACKER_PATHS.enrol, { csr, joinToken, name: 'crowd' })),
  );
  stranger.close();
  const { nodeId, certificate } = enrolled;
  const node = await RawClient.dial(TRACKER_PORT, contextOf(certificate), { host, localAddress });
  const digest = digests[index % digests.length];
  const wish = { registry, repository, digest, authorization, intent: 'check' };
  const joined = parse<JoinAnswer>(await node.send(post(TRACKER_PATHS.join, wish)));
  node.close();
  if (joined.verdict !== 'granted') throw new Error(`${joined.verdict}: ${joined.reason}`);
  const { swarmId, grant } = joined;
  return { localAddress, nodeId, certificatePem: certificate, swarmId, grant };
}

async function announce({ localAddress, nodeId, certificatePem, swarmId, grant }: Member, host: string): Promise<void> {
  const client = await RawClient.dial(TRACKER_PORT, contextOf(certificatePem), { host, localAddress });
  const query = encodeAnnounceQuery({
    swarmId: parseSwarmId(swarmId),
    event: 'started',
    left: 1,
    uploaded: 0,
    downloaded: 0,
    port: 1,
    numwant: 50,
    grant,
    denyVersion: 0,
    peerId: peerIdOf(parseNodeId(nodeId)),
  });
  const head = `GET ${TRACKER_PATHS.announce}?${query} HTTP/1.1\r\nhost: tracker\r\nauthorization: Bearer ${grant}\r\n\r\n`;
  const { status, body } = await client.send(head);
  client.close();
  if (status !== 200 || body.includes('failure reason'))
    throw new Error(`${status} ${body.toString('latin1').slice(0, 100)}`);
}

async function connect(member: Member, { host, port }: { host: string; port: number }): Promise<RawPeer> {
  const { localAddress, nodeId, certificatePem, swarmId, grant } = member;
  const tls = { trustAnchors, certificatePem, privateKeyPem };
  const peer = await RawPeer.dial(port, tls, { host, localAddress });
  peer.greet(parseSwarmId(swarmId), parseNodeId(nodeId), grant);
  peer.send({ type: 'interested' });
  await Promise.race([
    peer.opened(),
    peer.closed.then(() => {
      throw new Error('closed by the seeder');
    }),
  ]);
  return peer;
}

function contextOf(certificatePem?: string) {
  const own = certificatePem === undefined ? {} : { cert: certificatePem, key: privateKeyPem };
  return createSecureContext({ minVersion: 'TLSv1.3', ca: trustAnchors, ...own });
}

function post(path: string, value: object): string {
  const body = JSON.stringify(value);
  return `POST ${path} HTTP/1.1\r\nhost: tracker\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function parse<T>({ status, body }: RawAnswer): T {
  if (status !== 200 && status !== 201)
    throw new Error(`the tracker answered ${status}: ${body.toString().slice(0, 200)}`);
  return JSON.parse(body.toString()) as T;
}

async function inParallel(count: number, act: (index: number) => Promise<void>): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index).values();
  const work = async (): Promise<void> => {
    for (const index of indexes) await act(index);
  };
  await Promise.all(Array.from({ length: WIDTH }, work));
}
