import { readFileSync } from 'node:fs';

/** Clock ticks per second in /proc; Linux shows 100 to user space on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process so far, in seconds, user and system, all of its threads (proc(5), `utime` and `stime`). */
export function cpuSecondsOf(pid: number): number {
  const [user = 0, system = 0] = statFields(`/proc/${pid}/stat`);
  return (user + system) / TICKS_PER_SECOND;
}

/** CPU time of the children of this process that have ended, in seconds (proc(5), `cutime` and `cstime`). */
export function endedChildrenCpuSeconds(): number {
  const [, , user = 0, system = 0] = statFields('/proc/self/stat');
  return (user + system) / TICKS_PER_SECOND;
}

/** Fields 14 to 17. The name of the program, field 2, may hold spaces and brackets, so counting starts behind it. */
function statFields(file: string): number[] {
  const text = readFileSync(file, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}
