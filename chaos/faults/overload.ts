import path from 'node:path';
import { Party } from '../../bench/harness/party.ts';
import { residentMiBOf } from '../../bench/harness/process-usage.ts';
import { CROWD_ADDRESSES, type CrowdOrder, type CrowdResult, crowdAddress } from '../crowd-order.ts';
import type { Fault } from '../fault.ts';
import type { Stage } from '../stage.ts';

const CROWD = path.join(import.meta.dirname, '..', 'crowd-party.ts');
/** Most memory of one process of ours under these loads, in MiB. An idle one has about 100. */
const MAX_RESIDENT_MIB = 700;

/** A swarm has 40 places: 300 connections need eight. */
const LAYERS = Array.from({ length: 10 }, () => 1_500_000);

/** 99th and 50th of a hundred. */
function noteLatencies(stage: Stage, latenciesMs: readonly number[]): void {
  const at = (part: number): number =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(latenciesMs.length * part))] ?? 0;
  stage.note('p50Ms', Math.round(at(0.5)));
  stage.note('p99Ms', Math.round(at(0.99)));
}

function noteMemory(stage: Stage, pids: Readonly<Record<string, number>>): void {
  for (const [name, pid] of Object.entries(pids)) {
    const mebibytes = residentMiBOf(pid);
    stage.note(`${name}MiB`, Math.round(mebibytes));
    stage.expect(mebibytes < MAX_RESIDENT_MIB, `${name} holds ${Math.round(mebibytes)} MiB`);
  }
}

/** 500 requests for one blob at one node, at once. */
export const blobFlood: Fault = {
  name: 'blob-flood',
  summary: '500 blob requests at once on one node, for a blob that it has to fetch first',
  play: async (stage) => {
    const image = await stage.publish([1_000_000]);
    const { latenciesMs } = await stage.flood(image, 'n1', 500);
    noteLatencies(stage, latenciesMs);
    const [engine = 0] = stage.enginePids('n1');
    noteMemory(stage, { front: stage.node('n1').service.pid, engine });
    stage.expect((await stage.extraRegistryBytes()) <= 0, 'the registry was asked more than once');
  },
};

/** Lets a crowd of peers loose while real nodes pull the same image. */
async function playCrowd(stage: Stage, { peers, kind }: Pick<CrowdOrder, 'peers' | 'kind'>): Promise<void> {
  const image = await stage.publish(LAYERS);
  const host = stage.host('registry');
  const party = Party.command(stage.scope, 'unshare', host.enter([process.execPath, CROWD]));
  // Everybody behind one address would be one rack, and what the tracker allows one address is not in question here.
  for (let index = 0; index < CROWD_ADDRESSES; index += 1) {
    await host.runOrThrow(['ip', 'address', 'add', `${crowdAddress(index)}/24`, 'dev', 'eth0']);
  }
  const [first = '', ...rest] = stage.names;
  // Now there is a swarm of each layer to come to.
  await stage.pull(image, [first]);
  await party.ask('enrol', { ...stage.crowdOrder(image), peers, kind });
  const pulls = stage.pull(image, rest);
  const result = await party.ask<CrowdResult>('run');
  await pulls;
  noteLatencies(stage, result.latenciesMs);
  stage.note('served', result.latenciesMs.length);
  stage.note('refused', result.refused);
  noteMemory(stage, { tracker: stage.cluster.tracker.service.pid });
  await party.stop();
  if (kind === 'announce') stage.expect(result.refused === 0, `turned away: ${result.reasons.join('; ')}`);
}

/** A large cluster announces one blob. */
export const announceCrowd: Fault = {
  name: 'announce-crowd',
  summary: '2,000 peers announce to one tracker while nodes pull',
  play: async (stage) => {
    await playCrowd(stage, { peers: 2_000, kind: 'announce' });
  },
};

/** A large cluster dials the seeder. */
export const seederCrowd: Fault = {
  name: 'seeder-crowd',
  summary: '300 connections to one seeder while nodes pull',
  play: async (stage) => {
    await playCrowd(stage, { peers: 300, kind: 'connect' });
  },
};
