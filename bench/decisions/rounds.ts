/** What one run of a contender gave: figures by name, unit in the name. */
export type Figures = Readonly<Record<string, number>>;

/** Somebody who is measured. */
export interface Contender<T extends Figures = Figures> {
  readonly name: string;
  /** One run, with everything that it starts stopped again at its end. */
  measure(): Promise<T>;
}

/**
 * Runs the contenders by turns and prints minimum, median and maximum of each figure. By turns, and in changing order,
 * because a shared machine drifts: whoever ran first would have met another machine.
 */
export async function compare(contenders: readonly Contender[], { rounds }: { rounds: number }): Promise<void> {
  const results = new Map(contenders.map(({ name }) => [name, [] as Figures[]]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const figures = await contender.measure();
      results.get(contender.name)?.push(figures);
      console.error(`round ${round + 1} of ${rounds}, ${contender.name}: ${JSON.stringify(figures, rounded)}`);
    }
  }
  console.log(
    `| figure | ${contenders.map(({ name }) => name).join(' | ')} |\n|${'---|'.repeat(contenders.length + 1)}`,
  );
  for (const figure of Object.keys(results.values().next().value?.[0] ?? {})) {
    const cells = contenders.map(({ name }) =>
      cellOf((results.get(name) ?? []).map((run) => run[figure] ?? Number.NaN)),
    );
    console.log(`| ${figure} | ${cells.join(' | ')} |`);
  }
  console.log(`Median (minimum to maximum) of ${rounds} rounds, contenders by turns.`);
}

/** The middle one, or the mean of the two in the middle. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

function cellOf(values: readonly number[]): string {
  return `${format(medianOf(values))} (${format(Math.min(...values))} to ${format(Math.max(...values))})`;
}

function format(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toFixed(3)) : value;
}
