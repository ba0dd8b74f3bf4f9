import path from 'node:path';
import { UpstreamAuthority } from '../../test/testbed/upstream-pki.ts';
import type { Fault } from '../fault.ts';
import type { FrontRule } from '../faulty-front.ts';
import type { Stage } from '../stage.ts';

/** Pulls everywhere while the registry misbehaves by rules, each of which has to strike. */
async function pullWith(stage: Stage, rules: (bytes: number) => readonly FrontRule[]): Promise<void> {
  const image = await stage.publish();
  const { front } = stage;
  if (front === undefined) throw new Error('the stage has no faulty front');
  const all = rules(stage.someByteOf(image));
  await front.setRules(all);
  await stage.pull(image);
  const struck = await front.struck();
  stage.note('struck', struck);
  stage.expect(struck >= all.length, `the registry has misbehaved ${struck} times only`);
}

/** A node that reads by itself is no part of it: what a body that the registry cuts becomes there is its client's business. */
const cut = (bytes: number, seeder: string, isReset = true): FrontRule => ({
  kind: 'cut',
  client: seeder,
  // Of the first layer that is asked for, whichever that is.
  afterBytes: Math.floor(bytes / 4),
  times: 1,
  isReset,
});

/** A fault of the registry in the middle of the seeder's read. */
function registryFault(
  name: string,
  summary: string,
  rules: (bytes: number, seeder: string) => readonly FrontRule[],
): Fault {
  return {
    name,
    summary,
    fitsDocker: true,
    setting: { hasFaultyFront: true },
    play: async (stage) => {
      await pullWith(stage, (bytes) => rules(bytes, stage.host('tracker').address));
    },
  };
}

/** What a registry does to one read or to a few. */
export const registryFaults: readonly Fault[] = [
  registryFault('registry-reset', "the registry resets the seeder's read in the middle", (bytes, seeder) => [
    cut(bytes, seeder),
    { ...cut(bytes, seeder), afterBytes: 2_000_000 },
  ]),
  registryFault('registry-truncated', 'the registry ends a body before its Content-Length', (bytes, seeder) => [
    cut(bytes, seeder, false),
  ]),
  registryFault(
    'registry-401',
    'the registry cuts the read, then answers 401 to the range request',
    (bytes, seeder) => [
      cut(bytes, seeder),
      {
        // A client without any patience does not ask for another token.
        client: seeder,
        isRanged: true,
        kind: 'status',
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="https://auth.test:5001/token"' },
        times: 2,
      },
    ],
  ),
  registryFault(
    'registry-429',
    'the registry cuts the read, then asks for patience: 429 with Retry-After',
    (bytes, seeder) => [
      cut(bytes, seeder),
      { isRanged: true, kind: 'status', status: 429, headers: { 'retry-after': '1' }, times: 2 },
    ],
  ),
  registryFault(
    'registry-503',
    'the registry cuts the read, then is out of order: 503 with Retry-After',
    (bytes, seeder) => [
      cut(bytes, seeder),
      { isRanged: true, kind: 'status', status: 503, headers: { 'retry-after': '1' }, times: 2 },
    ],
  ),
];

/** False bytes that the seeder reads must reach nobody; who asks again gets the true ones. */
export const registryWrongBytes: Fault = {
  name: 'registry-wrong-bytes',
  summary: 'the registry sends the seeder bytes that do not match the digest',
  setting: { hasFaultyFront: true },
  play: async (stage) => {
    const image = await stage.publish();
    const { address } = stage.host('tracker');
    await stage.front?.setRules([{ kind: 'wrong', client: address, times: 1 }]);
    // A reader that was given a false byte can only be cut off, never be told that all is well.
    for (const outcome of await Promise.all(stage.names.map((name) => stage.attempt(image, name)))) {
      stage.expect(!outcome.isWrong, 'a false byte came in a well-formed answer');
    }
    stage.expect((await stage.front?.struck()) === 1, 'the registry has not misbehaved');
    await stage.pull(image);
  },
};

/** A piece then takes 26 s, and 15 s without anything new are a stall. */
const SLOW_BYTES_PER_SECOND = 10 * 1024;
const SLOW_TIMEOUT_MS = 150_000;

/** Slow is not broken: whoever takes it for broken sends every node to the registry, which makes it slower. */
export const registrySlow: Fault = {
  name: 'registry-slow',
  summary: 'the registry sends 10 KiB/s, a piece in 26 seconds, and no node takes that for a stall',
  setting: { hasFaultyFront: true },
  play: async (stage) => {
    const image = await stage.publish([600_000]);
    await stage.front?.setRules([{ kind: 'slow', bytesPerSecond: SLOW_BYTES_PER_SECOND }]);
    await stage.pull(image, stage.names, { timeoutMs: SLOW_TIMEOUT_MS });
    stage.expect((await stage.extraRegistryBytes()) <= 0, 'a node went to the registry by itself');
    const stalls = stage.names.flatMap((name) => stage.logged(name, 'swarm_stalled'));
    stage.expect(stalls.length === 0, 'a node took it for a stall');
  },
};

/** Runtimes read their trust files with each pull, so none of them would notice. */
export const registryNewCa: Fault = {
  name: 'registry-new-ca',
  summary: 'the registry shows a certificate of another CA, which the runtimes know by then and the tracker does not',
  setting: { hasFaultyFront: true },
  play: async (stage) => {
    const { registry, testbed } = stage.cluster;
    await stage.pull(await stage.publish([4_000_000]));
    const authority = await UpstreamAuthority.create(path.join(testbed.directory, 'new-pki'), 'New Upstream Test CA');
    const names = { dnsNames: ['registry.test'], addresses: [registry.host.address] };
    const tls = await authority.issue('registry', names);
    for (const name of stage.names) await stage.cluster.trust(name, registry.name, authority.certificate);
    await stage.front?.show(tls);
    await stage.pull(await stage.publish([4_000_000]));
    const unaware = stage.names.filter((name) => stage.logged(name, 'trust_changed').length === 0);
    stage.expect(unaware.length === 0, `not noticed by ${unaware.join(', ')}`);
  },
};
