import { readdirSync, readFileSync } from 'node:fs';
import { residentMiBOf } from '../../bench/harness/process-usage.ts';

/** What a process holds. */
export interface Gauge {
  readonly residentMiB: number;
  readonly descriptors: number;
  /** Those of the descriptors that are sockets. */
  readonly sockets: number;
}

/** Looks at a process now. */
export function gaugeOf(pid: number): Gauge {
  const descriptors = readdirSync(`/proc/${pid}/fd`).length;
  // Those of one network namespace; a host runs nothing but its node and a client.
  const sockets = readFileSync(`/proc/${pid}/net/sockstat`, 'latin1');
  return {
    residentMiB: residentMiBOf(pid),
    descriptors,
    sockets: Number(/^TCP: inuse (\d+)/m.exec(sockets)?.[1] ?? Number.NaN),
  };
}
