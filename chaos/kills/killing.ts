import { readdir, readFile } from 'node:fs/promises';
import { childrenOf } from '../../bench/harness/process-usage.ts';
import { within } from '../deadline.ts';
import type { Stage } from '../stage.ts';

/** Longest time that the kernel may take to end a killed process, in ms. */
const GONE_TIMEOUT_MS = 15_000;
const LOOK_MS = 5;

/** Kills the front of a node, and its engine with it if asked to; resolves when they are gone. */
export async function killNode(stage: Stage, name: string, { withEngine }: { withEngine: boolean }): Promise<void> {
  const { service } = stage.node(name);
  const engines = withEngine ? childrenOf(service.pid) : [];
  for (const pid of [service.pid, ...engines]) kill(pid, 'SIGKILL');
  await within(GONE_TIMEOUT_MS, `the end of the node on ${name}`, service.ended);
  for (const pid of engines) await gone(pid);
}

/**
 * Kills the engine of a node; resolves when it is gone. `look` sees what it has left before its front knows of it: the front
 * stands still meanwhile, or it would start the next one at once.
 */
export async function killEngine(stage: Stage, name: string, look?: () => Promise<void>): Promise<void> {
  const front = stage.node(name).service.pid;
  const engines = childrenOf(front);
  if (look !== undefined) kill(front, 'SIGSTOP');
  try {
    for (const pid of engines) kill(pid, 'SIGKILL');
    for (const pid of engines) await gone(pid);
    await look?.();
  } finally {
    if (look !== undefined) kill(front, 'SIGCONT');
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has ended by itself a moment ago.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A process that its parent has not taken notice of holds nothing any more, once the last of its threads has ended. */
async function gone(pid: number): Promise<void> {
  const isGone = async (): Promise<boolean> => {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
    return stat === '' || (/\) [ZX] /.test(stat) && threads.length <= 1);
  };
  const endsAt = performance.now() + GONE_TIMEOUT_MS;
  while (!(await isGone())) {
    if (performance.now() > endsAt) throw new Error(`process ${pid} does not end`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
