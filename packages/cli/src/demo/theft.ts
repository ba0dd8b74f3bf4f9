import { readFile } from 'node:fs/promises';
import { AppError, type BlobRef, swarmIdOf } from '@sealift/core';
import { createSigningRequest, fetchTrustAnchor, trackerConnectOptions } from '@sealift/pki';
import { TrackerClient } from '@sealift/tracker-api';
import { Agent } from 'undici';
import type { Endpoint } from '../option-values.ts';
import { bytesServedTo, type Intruder, intruderOf, type Refusal } from './refusals.ts';

/** The tracker as a node's operator knows it. */
export interface TrackerAccess {
  readonly origin: string;
  readonly fingerprint: string;
  /** File with a reusable join token. */
  readonly tokenFile: string;
}

/** What thieves are after, and where. */
export interface Loot {
  readonly tracker: TrackerAccess;
  readonly blob: BlobRef;
  /** The registry credentials of somebody who may pull the blob. */
  readonly authorization: string | undefined;
  /** A peer that has the blob. */
  readonly peer: Pick<Endpoint, 'host' | 'port'>;
}

/**
 * Two enrolled peers go for a blob: one without a grant, one with the grant of the other. Answers with what each got. Throws
 * `DEMO_FAILED` where the attempt would prove nothing.
 */
export async function tryToSteal(
  { tracker, blob, authorization, peer }: Loot,
  { signal }: { signal: AbortSignal },
): Promise<readonly Refusal[]> {
  const trustAnchors = await fetchTrustAnchor(tracker, { signal });
  const joinToken = (await readFile(tracker.tokenFile, 'utf8')).trim();
  const enrol = (): Promise<Intruder> => enrolAt(tracker, { trustAnchors, joinToken, signal });
  const [owner, thief] = [await enrol(), await enrol()];
  const request = { ...blob, ...(authorization === undefined ? {} : { authorization }), intent: 'check' as const };
  const answer = await callTracker(tracker, { trustAnchors, caller: owner }, (api) => api.join(request, { signal }));
  if (answer.verdict !== 'granted') {
    throw new AppError('DEMO_FAILED', { reason: 'the tracker gave no grant to compare with' });
  }
  const swarmId = swarmIdOf(owner.identity.clusterId, blob.registry, blob.digest);
  const attempt = (intruder: Intruder, grant: string | undefined): Promise<number> =>
    bytesServedTo(intruder, { peer, swarmId, grant });
  // Without this, a node that answers nobody would look like a node that refuses thieves.
  if ((await attempt(owner, answer.grant)) === 0) {
    throw new AppError('DEMO_FAILED', { reason: 'the node does not answer a rightful peer' });
  }
  return [
    { case: 'valid certificate, no grant', bytesServed: await attempt(thief, undefined) },
    { case: 'grant of another certificate', bytesServed: await attempt(thief, answer.grant) },
  ];
}

async function enrolAt(
  tracker: TrackerAccess,
  { trustAnchors, joinToken, signal }: { trustAnchors: string; joinToken: string; signal: AbortSignal },
): Promise<Intruder> {
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const { certificate, cluster } = await callTracker(tracker, { trustAnchors, caller: undefined }, (api) =>
    api.enrol({ csr: csrPem, joinToken }, { signal }),
  );
  return intruderOf({ trustAnchors: cluster.trustAnchors, certificatePem: certificate, privateKeyPem });
}

/** One call to the tracker's API over a connection of its own. */
async function callTracker<T>(
  { origin }: TrackerAccess,
  { trustAnchors, caller }: { trustAnchors: string; caller: Intruder | undefined },
  call: (api: TrackerClient) => Promise<T>,
): Promise<T> {
  const client = caller === undefined ? {} : { clusterId: caller.identity.clusterId, client: caller.tls };
  const agent = new Agent({ connect: trackerConnectOptions({ trustAnchors, ...client }) });
  try {
    return await call(new TrackerClient({ origin, dispatcher: () => agent }));
  } finally {
    await agent.destroy();
  }
}
