import { spawnSync } from 'node:child_process';
import { cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { AppError, isAppError } from '@sealift/core';
import { conclude } from '../packages/cli/src/demo/demo-result.ts';
import { untilReaderIsGone } from '../packages/cli/src/demo/lost-reader.ts';
import { say } from '../packages/cli/src/demo/narration.ts';
import { endOfProcess, exitStatusOf } from '../packages/cli/src/end-of-process.ts';
import { describeFailure } from '../packages/cli/src/failure.ts';
import { Cluster } from '../test/testbed/cluster.ts';
import { missingForTestbed } from '../test/testbed/support.ts';
import { NODES, showDockerDemo } from './docker-demo-story.ts';
import { canInstallPackages, isRoot, missingPackages, systemName } from './system-parts.mjs';

const USAGE = `Usage: npm run demo -- --docker [options]

The demo with real Docker: a registry with token authentication, a tracker, three nodes and three dockerds, each on a host
of its own in a network namespace of this machine. Needs root on Debian; installs Docker and the like if they are missing.

Options:
  --json   end with one line of JSON on standard output
  --keep   keep the logs of all parts, and print where they are
  --help   print this
`;

/** The demo with real Docker daemons. Sets the exit status; leaves nothing behind but, if asked for, logs. */
export async function runDockerDemo(args: readonly string[]): Promise<void> {
  const end = endOfProcess();
  const signal = AbortSignal.any([end, untilReaderIsGone()]);
  try {
    const { json, keep, help } = parseOptions(args);
    if (help) {
      process.stdout.write(USAGE);
      return;
    }
    prepareSystem();
    conclude(await withCluster((cluster) => showDockerDemo(cluster, signal), { keep, signal }), { json });
  } catch (error) {
    if (signal.aborted) {
      say('\nstopped');
      process.exitCode = exitStatusOf(signal);
      return;
    }
    const { text, exitStatus } = describeFailure(error);
    say(`demo: ${text}`);
    process.exitCode = exitStatus;
  }
}

function parseOptions(args: readonly string[]): { json: boolean; keep: boolean; help: boolean } {
  const toggle = { type: 'boolean', default: false } as const;
  try {
    const options = { docker: toggle, json: toggle, keep: toggle, help: toggle };
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    const reason = `${(error as Error).message.split('. ')[0]}; with --docker there are --json, --keep and --help`;
    throw new AppError('CONFIG_INVALID', { reason }, { cause: error });
  }
}

/** Installs what is missing where that is ours to do; throws `CONFIG_INVALID` on a machine that cannot carry the demo. */
function prepareSystem(): void {
  if (!isRoot()) throw unfit('it makes network namespaces and starts dockerd, which needs root on Linux');
  if (missingPackages().length > 0) {
    if (!canInstallPackages()) {
      throw unfit(`${systemName()} is not a Debian, so these cannot be installed: ${missingPackages().join(' ')}`);
    }
    const setUp = path.join(import.meta.dirname, 'set-up.mjs');
    const { status } = spawnSync(process.execPath, [setUp, '--for', 'demo-docker'], { stdio: ['ignore', 2, 2] });
    if (status !== 0) throw unfit('what it needs could not be installed; see above');
  }
  const missing = missingForTestbed();
  if (missing !== false) throw unfit(missing);
}

function unfit(reason: string): AppError {
  const advice = 'Without --docker, `npm run demo` shows the same and needs nothing but Node.';
  return new AppError('CONFIG_INVALID', { reason: `the demo with Docker cannot run here: ${reason}`, advice });
}

/** Gives `work` a cluster, and takes it down again however that ends. */
async function withCluster<T>(
  work: (cluster: Cluster) => Promise<T>,
  { keep, signal }: { keep: boolean; signal: AbortSignal },
): Promise<T> {
  say(`Starting a registry, a tracker and ${NODES.length} hosts for nodes on this machine …`);
  const cluster = await Cluster.start({ hosts: NODES });
  // Whoever waits for a service then hears of its end.
  const stopServices = (): void => void cluster.stopServices().catch(() => {});
  signal.addEventListener('abort', stopServices, { once: true });
  try {
    signal.throwIfAborted();
    return await work(cluster);
  } catch (error) {
    // The testbed throws plain errors that name the host, the command and its last words.
    throw isAppError(error) ? error : new AppError('DEMO_FAILED', { reason: String(error) }, { cause: error });
  } finally {
    signal.removeEventListener('abort', stopServices);
    if (keep) {
      // Their last lines are worth keeping, too.
      await cluster.stopServices().catch(() => {});
      await keepLogs(cluster);
    }
    await cluster.stop();
  }
}

async function keepLogs({ testbed }: Cluster): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sealift-demo-'));
  await cp(path.join(testbed.directory, 'log'), directory, { recursive: true });
  say(`Logs are in ${directory}.`);
}
