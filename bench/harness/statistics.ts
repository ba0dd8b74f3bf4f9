/** What the rounds of one figure gave. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Figures of one run by name; the unit is part of the name. */
export type Figures = Readonly<Record<string, number>>;

/** The spread of at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { min: at(0), median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, max: at(sorted.length - 1) };
}

/** The spread of one figure over all rounds. */
export function spreadOfFigure(runs: readonly Figures[], figure: string): Spread {
  return spreadOf(runs.map((run) => run[figure] ?? Number.NaN));
}

/** `ours` divided by `theirs`, round by round: the machine of one round is the same for both, that of another is not. */
export function ratioSpread(ours: readonly Figures[], theirs: readonly Figures[], figure: string): Spread {
  return spreadOf(ours.map((run, round) => (run[figure] ?? Number.NaN) / (theirs[round]?.[figure] ?? Number.NaN)));
}

/** Rounds to `digits` after the point, for output. */
export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}
