import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { BenchCluster } from '../engine/cluster.ts';
import { SealiftSetting } from '../engine/sealift.ts';
import { measureTransfer } from '../engine/transfer.ts';
import { type Benchmark, type BenchmarkContext, wholeNumber } from '../harness/benchmark.ts';
import { warmMemory } from '../harness/files.ts';
import type { Party } from '../harness/party.ts';
import { createPayload } from '../harness/payload.ts';
import { round } from '../harness/statistics.ts';
import { formatTable } from '../harness/table.ts';
import { addProfile, type CallTree, type CpuProfile, newCallTree, selfTimes } from './call-tree.ts';
import { formatFlameGraph } from './flame-graph.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Functions named in the tables. */
const TOP = 15;
const ROOT = pathToFileURL(path.join(import.meta.dirname, '../../')).href;

type Threads = Readonly<Record<string, number>>;

/** Where the time of seeder and leecher goes: a flame graph of each, CPU time by thread, and the functions at the top. */
export const profileBenchmark: Benchmark = {
  name: 'profile',
  summary: 'flame graphs (SVG) of a seeder and a leecher, and the CPU time of their threads',
  options: {
    size: { type: 'string', default: '1024' },
    'piece-length': { type: 'string', default: '1024' },
    out: { type: 'string', default: 'flame-graphs' },
  },
  defaultRounds: 1,
  run,
};

async function run({ scope, values, say }: BenchmarkContext): Promise<object> {
  const size = wholeNumber(values, 'size') * MIB;
  const payload = await createPayload(scope.directory, {
    size,
    pieceLength: wholeNumber(values, 'piece-length', 16) * 1024,
  });
  const setting = new SealiftSetting(scope, await BenchCluster.create(), payload);
  const profiles = path.join(scope.directory, 'profiles');
  await using pair = await setting.startPair({ nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${profiles}`] });
  await warmMemory(scope.directory, size);
  const parties = { seeder: pair.seeder, leecher: pair.leecher };
  const before = await threadsOf(parties);
  const from = monotonicMicros();
  const transfer = await measureTransfer(pair, size, () => pair.download());
  const to = monotonicMicros();
  const after = await threadsOf(parties);
  await pair.stopEngines();
  await Promise.all([pair.seeder.finish(), pair.leecher.finish()]);

  const out = path.resolve(String(values['out']));
  await mkdir(out, { recursive: true });
  const result: Record<string, object> = {};
  for (const role of ['seeder', 'leecher'] as const) {
    const tree = await treeOf(profiles, parties[role].pid, { role, from, to });
    const file = path.join(out, `${role}.svg`);
    const cpu = round((transfer.cpuSeconds[role] * GIB) / size, 2);
    const title = `sealift ${role}, ${size / MIB} MiB: JavaScript threads while it transfers, ${cpu} CPU-s per GiB with all others`;
    await writeFile(file, formatFlameGraph(tree, { title }));
    const perGiB = (seconds: number): number => round((seconds * GIB) / size);
    const threads = Object.fromEntries(
      Object.entries(after[role]).map(([name, seconds]) => [name, perGiB(seconds - (before[role][name] ?? 0))]),
    );
    const top = selfTimes(tree)
      .slice(0, TOP)
      .map(({ name, micros }) => ({ name, secondsPerGiB: perGiB(micros / 1e6) }));
    say(`\n${role}: ${file}\n${tableOf(threads, top)}`);
    result[role] = { file, cpuPerGiB: cpu, threads, top };
  }
  return result;
}

async function threadsOf({
  seeder,
  leecher,
}: {
  seeder: Party;
  leecher: Party;
}): Promise<{ seeder: Threads; leecher: Threads }> {
  return { seeder: await seeder.ask<Threads>('threads'), leecher: await leecher.ask<Threads>('threads') };
}

/** All threads of one process; V8 writes one file for each, named after process and thread. */
async function treeOf(
  directory: string,
  pid: number,
  { role, from, to }: { role: string; from: number; to: number },
): Promise<CallTree> {
  const tree = newCallTree(role);
  for (const name of (await readdir(directory)).sort()) {
    const [, ofProcess, ofThread] = /^CPU\.\d+\.\d+\.(\d+)\.(\d+)\.\d+\.cpuprofile$/.exec(name) ?? [];
    if (Number(ofProcess) !== pid) continue;
    const profile = JSON.parse(await readFile(path.join(directory, name), 'utf8')) as CpuProfile;
    const thread = newCallTree(ofThread === '0' ? 'main thread' : 'store thread');
    addProfile(thread, profile, { from, to, root: ROOT });
    tree.callees.set(`${thread.name} ${ofThread}`, thread);
    tree.totalMicros += thread.totalMicros;
  }
  return tree;
}

/** The clock of the profiles, which all processes of a machine share. */
function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function tableOf(threads: Threads, top: readonly { name: string; secondsPerGiB: number }[]): string {
  const busy = Object.entries(threads).filter(([, seconds]) => seconds >= 0.005);
  const byThread = busy.sort(([, a], [, b]) => b - a).map(([name, seconds]) => [name, seconds.toFixed(2)]);
  const byFunction = top.map(({ name, secondsPerGiB }) => [name, secondsPerGiB.toFixed(3)]);
  return `${formatTable(['thread', 'CPU-s/GiB'], byThread)}\n\n${formatTable(['function itself', 's/GiB'], byFunction)}`;
}
