import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { demandEqualFiles, warmMemory } from '../harness/files.ts';
import { freePort } from '../harness/free-port.ts';
import type { Payload } from '../harness/payload.ts';
import { cpuSecondsOf, endedChildrenCpuSeconds } from '../harness/process-usage.ts';
import type { Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import type { OnePeerTracker } from './one-peer-tracker.ts';
import { figuresOf } from './transfer.ts';

/** Unit of `st_blocks` (stat(2)), in bytes. */
const BLOCK_LENGTH = 512;
/** How often the file is looked at, in ms: one hundredth of a transfer of a GiB. */
const POLL_MS = 20;
/** A transfer that takes longer, in ms, has hung. */
const DEADLINE_MS = 300_000;

const COMMON = [
  '--no-conf=true',
  '--enable-dht=false',
  '--enable-dht6=false',
  '--bt-enable-lpd=false',
  '--enable-peer-exchange=false',
  '--file-allocation=none',
  '--summary-interval=0',
  '--console-log-level=notice',
  '--show-console-readout=false',
  '--enable-color=false',
  '--disable-ipv6=true',
];

/**
 * aria2 in clear. It cannot be told of a peer, only of a tracker: ours hands out the seeder and nobody else. It does
 * things once a second, so its start and end take seconds: its speed counts from the first byte in its file to the last.
 */
export function aria2(
  scope: Scope,
  { file, size }: Payload,
  { torrent, tracker }: { torrent: string; tracker: OnePeerTracker },
): Contender {
  const directory = path.join(scope.directory, 'aria2');
  return {
    name: 'aria2',
    measure: async () => {
      await warmMemory(scope.directory, size);
      await mkdir(directory, { recursive: true });
      const port = await freePort();
      tracker.setPeerPort(port);
      // The seeder trusts its file, as ours trusts its store.
      const seed = ['--seed-ratio=0', '--bt-seed-unverified=true', `--listen-port=${port}`];
      const seeder = aria2c(scope, [...COMMON, ...seed, `--dir=${path.dirname(file)}`, torrent]);
      try {
        await said(seeder, /listening on TCP port|Seeding|Download complete/);
        const seederBefore = cpuOf(seeder);
        const endedBefore = endedChildrenCpuSeconds();
        const leech = ['--seed-time=0', `--listen-port=${await freePort()}`];
        const leecher = aria2c(scope, [...COMMON, ...leech, `--dir=${directory}`, torrent]);
        const ended = once(leecher, 'exit');
        leecher.stdout?.resume();
        const seconds = await secondsOfWriting(path.join(directory, path.basename(file)), size, {
          signal: scope.signal,
        });
        const [code] = (await ended) as [number | null];
        if (code !== 0) throw new Error(`aria2 ended with ${code}`);
        const cpuSeconds = {
          seeder: cpuOf(seeder) - seederBefore,
          leecher: endedChildrenCpuSeconds() - endedBefore,
        };
        await demandEqualFiles(file, path.join(directory, path.basename(file)));
        return figuresOf({ size, seconds, cpuSeconds });
      } finally {
        await scope.stop(seeder);
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}

/** Time from the first block of a file that is being written to its last, in seconds. */
async function secondsOfWriting(file: string, size: number, { signal }: { signal: AbortSignal }): Promise<number> {
  let startedAt: number | undefined;
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline) {
    const blocks = (await stat(file).catch(() => undefined))?.blocks ?? 0;
    if (blocks > 0) startedAt ??= performance.now();
    if (startedAt !== undefined && blocks * BLOCK_LENGTH >= size) return (performance.now() - startedAt) / 1000;
    await setTimeout(POLL_MS, undefined, { signal });
  }
  throw new Error('aria2 did not finish in time');
}

function aria2c(scope: Scope, args: readonly string[]): ChildProcess {
  return scope.spawn('aria2c', args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Resolves once the program has printed something that `pattern` matches. */
function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (more: string) => {
      text = (text + more).slice(-4_000);
      if (pattern.test(text)) resolve();
    });
    child.once('exit', () => reject(new Error(`aria2 ended before it was ready\n${text}`)));
  });
}

function cpuOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('aria2 did not start');
  return cpuSecondsOf(pid);
}
