import type { Usage } from '../harness/party.ts';
import type { Figures } from '../harness/statistics.ts';

const GIB = 2 ** 30;

/** One measured transfer. */
export interface Transfer {
  readonly size: number;
  readonly seconds: number;
  /** CPU time of each side during the transfer, in seconds. */
  readonly cpuSeconds: { readonly seeder: number; readonly leecher: number };
  readonly peakRssMiB?: { readonly seeder: number; readonly leecher: number };
}

/** The figures of a transfer: MB/s (10^6 bytes), CPU-seconds per GiB of each side and of both, peak memory in MiB. */
export function figuresOf({ size, seconds, cpuSeconds, peakRssMiB }: Transfer): Figures {
  const perGiB = (value: number): number => (value * GIB) / size;
  return {
    mbps: size / 1e6 / seconds,
    seeder: perGiB(cpuSeconds.seeder),
    leecher: perGiB(cpuSeconds.leecher),
    cpu: perGiB(cpuSeconds.seeder + cpuSeconds.leecher),
    ...(peakRssMiB === undefined ? {} : { seederRss: peakRssMiB.seeder, leecherRss: peakRssMiB.leecher }),
  };
}

/** A side that can be asked what it used. */
interface Side {
  usage(): Promise<Usage>;
}

/**
 * Measures `work` between two sides, until all bytes are checked and written. Its time counts from its start, unless it
 * gives one of its own.
 */
export async function measureTransfer(
  { seeder, leecher }: { seeder: Side; leecher: Side },
  size: number,
  work: () => Promise<{ readonly seconds: number } | null>,
): Promise<Transfer> {
  const before = await Promise.all([seeder.usage(), leecher.usage()]);
  const startedAt = performance.now();
  const own = await work();
  const seconds = own?.seconds ?? (performance.now() - startedAt) / 1000;
  const after = await Promise.all([seeder.usage(), leecher.usage()]);
  return {
    size,
    seconds,
    cpuSeconds: {
      seeder: after[0].cpuSeconds - before[0].cpuSeconds,
      leecher: after[1].cpuSeconds - before[1].cpuSeconds,
    },
    peakRssMiB: { seeder: after[0].peakRssMiB, leecher: after[1].peakRssMiB },
  };
}
