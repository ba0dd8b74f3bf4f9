import { readFileSync } from 'node:fs';

/**
 * The name of one testbed, and the prefix of everything that it leaves in the kernel: `sl-<pid>-<start time>-<count>`.
 * Pid and start time of the owner are in the name, so that whoever finds a leftover can tell whether its owner lives.
 */
export type RunName = `sl-${string}`;

const RUN_NAME = /^sl-(\d{1,10})-([0-9a-z]{1,13})-\d{1,4}/;
let count = 0;

/** A name that no other run on this machine has or had. */
export function newRunName(): RunName {
  count += 1;
  return `sl-${process.pid}-${startTimeOf(process.pid)}-${count}`;
}

/** The run that a namespace or a directory belongs to; `undefined` if it is not one of ours. */
export function runNameOf(text: string): RunName | undefined {
  return RUN_NAME.exec(text)?.[0] as RunName | undefined;
}

/** Whether the process that made this run is still there. A later process with the same pid does not count. */
export function isOwnerAlive(runName: RunName): boolean {
  const [, pid, startTime] = RUN_NAME.exec(runName) ?? [];
  return pid !== undefined && startTimeOf(Number(pid)) === startTime;
}

/** Field 22 of proc(5) stat, in clock ticks since boot and base 36; `undefined` if there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field, the command's name, may hold anything but ends at the last parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[19]).toString(36);
  } catch {
    return undefined; // It ended.
  }
}
