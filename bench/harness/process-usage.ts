import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in /proc; Linux shows 100 to user space on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process so far, in seconds, user and system, all of its threads (proc(5), `utime` and `stime`). */
export function cpuSecondsOf(pid: number): number {
  const [user = 0, system = 0] = statFields(`/proc/${pid}/stat`);
  return (user + system) / TICKS_PER_SECOND;
}

/**
 * The same with all processes that it has started, and those that these have, the ended ones included. A node is two: its
 * front and its engine.
 */
export function cpuSecondsOfTree(pid: number): number {
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = statFields(`/proc/${pid}/stat`);
  const children = childrenOf(pid).reduce((sum, child) => sum + cpuSecondsOfTree(child), 0);
  return (user + system + endedUser + endedSystem) / TICKS_PER_SECOND + children;
}

/** CPU time of the children of this process that have ended, in seconds (proc(5), `cutime` and `cstime`). */
export function endedChildrenCpuSeconds(): number {
  const [, , user = 0, system = 0] = statFields('/proc/self/stat');
  return (user + system) / TICKS_PER_SECOND;
}

/** CPU time of the threads of this process so far, in seconds, by their names: user and system, those that ended left out. */
export function threadCpuSeconds(): Readonly<Record<string, number>> {
  const seconds = new Map<string, number>();
  for (const id of readdirSync('/proc/self/task')) {
    const directory = `/proc/self/task/${id}`;
    try {
      const [user = 0, system = 0] = statFields(`${directory}/stat`);
      const name = readFileSync(`${directory}/comm`, 'latin1').trim();
      seconds.set(name, (seconds.get(name) ?? 0) + (user + system) / TICKS_PER_SECOND);
    } catch {
      // It has ended since we listed it.
    }
  }
  return Object.fromEntries(seconds);
}

/** Memory of a process that is resident now, in MiB (proc(5), `VmRSS`). */
export function residentMiBOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kilobytes ?? Number.NaN) / 1024;
}

/** Children of a process, whichever of its threads started them (proc(5), `/proc/pid/task/tid/children`). */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1');
    return text.split(' ').filter(Boolean).map(Number);
  });
}

/** Fields 14 to 17. The name of the program, field 2, may hold spaces and brackets, so counting starts behind it. */
function statFields(file: string): number[] {
  const text = readFileSync(file, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}
