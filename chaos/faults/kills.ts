import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { readNodeStatus } from '../../packages/cli/src/node-admin.ts';
import type { Fault } from '../fault.ts';
import type { Stage, StageImage } from '../stage.ts';

const run = promisify(execFile);
const MAIN = path.join(import.meta.dirname, '../../packages/cli/src/main.ts');
/** Several pieces each, so that a kill finds some verified, one being written and others missing. */
const LAYERS = [5_000_000, 3_000_000];
const TARGETS = ['node', 'engine', 'tracker'] as const;

/**
 * Kills a node, an engine or the tracker with its seeder at moments that the seed decides, while pulls run. After each kill
 * the store that was being written passes a full check, all digests are right, and what a node has verified it does not
 * fetch again.
 */
export function kills(times: number): Fault {
  return {
    name: 'kills',
    summary: `nodes, engines and the tracker are killed at random moments of pulls, ${times} times`,
    play: async (stage) => {
      let verifiedBytes = 0;
      for (let kill = 0; kill < times; kill += 1) {
        const target = TARGETS[stage.random.below(TARGETS.length)] ?? 'node';
        const image = await stage.publish(LAYERS);
        if (target === 'node') verifiedBytes += await killNode(stage, image);
        else await killBeside(stage, image, target);
      }
      stage.note('kills', times);
      stage.note('verifiedBytesKept', verifiedBytes);
    },
  };
}

/** Kills a node in mid-pull, and answers with the bytes of this image that had been verified by then. */
async function killNode(stage: Stage, image: StageImage): Promise<number> {
  const [victim = '', ...others] = stage.names;
  const { data } = stage.node(victim);
  const before = await storedBytes(victim, stage);
  // Its client dies with its proxy, so that is no pull that counts.
  const lost = stage.attempt(image, victim);
  const pulls = stage.pull(image, others);
  await stage.reached(victim, stage.someByteOf(image));
  await stage.node(victim).service.stop({ signal: 'SIGKILL' });
  await lost;
  const report = await verifyStore(stage, data);
  const kept = report.bytes - before;
  await stage.startNode(victim);
  await pulls;
  await stage.pull(image, [victim]);
  const { bytes } = (await readNodeStatus(data)) as { bytes: { cache: number } };
  stage.expect(bytes.cache >= kept, `${kept} bytes were verified, and ${bytes.cache} came from the store`);
  return kept;
}

/** Kills what all nodes or one need in mid-pull; no pull may notice. */
async function killBeside(stage: Stage, image: StageImage, target: 'engine' | 'tracker'): Promise<void> {
  const [first = ''] = stage.names;
  const pulls = stage.pull(image);
  await stage.reached(first, stage.someByteOf(image));
  if (target === 'engine') {
    for (const pid of stage.enginePids(first)) process.kill(pid, 'SIGKILL');
  } else {
    await stage.cluster.tracker.kill();
    await verifyStore(stage, stage.cluster.tracker.data);
    await stage.cluster.tracker.start();
  }
  await pulls;
}

interface Report {
  readonly isSound: boolean;
  readonly bytes: number;
  readonly findings: readonly { readonly kind: string; readonly path: string; readonly reason: string }[];
}

async function verifyStore(stage: Stage, data: string): Promise<Report> {
  const args = [MAIN, 'store', 'verify', '--json', '--data', data];
  const { stdout } = await run(process.execPath, args).catch((error: { stdout: string }) => error);
  const report = JSON.parse(stdout) as Report;
  const problems = report.findings.filter(({ kind }) => kind === 'problem');
  stage.expect(report.isSound, `a store is not sound: ${JSON.stringify(problems)}`);
  return report;
}

/** What the node's store holds verified while the node is stopped for a moment: the base to count from. */
async function storedBytes(name: string, stage: Stage): Promise<number> {
  const { data } = stage.node(name);
  await stage.node(name).stop();
  const { bytes } = await verifyStore(stage, data);
  await stage.startNode(name);
  return bytes;
}
