/** One look at something that should not grow. */
export interface Sample {
  /** Minutes since the start. */
  readonly minute: number;
  readonly value: number;
}

/** How something has changed over the second half of a run. */
export interface Trend {
  /** At the start and at the end of that half, by the line that fits best. */
  readonly from: number;
  readonly to: number;
  readonly perHour: number;
  readonly samples: number;
}

/** Fewer looks than these say nothing of a trend. */
const MIN_SAMPLES = 8;

/**
 * The line through the second half of a run that fits best (least squares): the first half fills caches and pools.
 * `undefined` if there were too few looks.
 */
export function trendOf(all: readonly Sample[]): Trend | undefined {
  const last = all.at(-1)?.minute ?? 0;
  const samples = all.filter(({ minute }) => minute >= last / 2);
  const [first] = samples;
  if (samples.length < MIN_SAMPLES || first === undefined) return undefined;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const middle = mean(samples.map(({ minute }) => minute));
  const level = mean(samples.map(({ value }) => value));
  const spread = mean(samples.map(({ minute }) => (minute - middle) ** 2));
  const slope =
    spread === 0 ? 0 : mean(samples.map(({ minute, value }) => (minute - middle) * (value - level))) / spread;
  const at = (minute: number): number => level + slope * (minute - middle);
  return { from: at(first.minute), to: at(last), perHour: slope * 60, samples: samples.length };
}

/** It has grown by more than `allowed`, and by more than a quarter of what it was. */
export function hasGrown({ from, to }: Trend, allowed: number): boolean {
  return to - from > Math.max(allowed, from / 4);
}
