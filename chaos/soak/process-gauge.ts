import { readdirSync, readFileSync } from 'node:fs';
import { residentMiBOf } from '../../bench/harness/process-usage.ts';

/** What a process holds. */
export interface Gauge {
  readonly residentMiB: number;
  readonly descriptors: number;
  /** TCP sockets of its host, which runs nothing but its node and a client. */
  readonly sockets: number;
}

/** Looks at a process now; `undefined` if it has ended. */
export function gaugeOf(pid: number): Gauge | undefined {
  try {
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    const sockets = readFileSync(`/proc/${pid}/net/sockstat`, 'latin1');
    return {
      residentMiB: residentMiBOf(pid),
      descriptors,
      sockets: Number(/^TCP: inuse (\d+)/m.exec(sockets)?.[1] ?? Number.NaN),
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
