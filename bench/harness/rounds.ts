import { type Figures, round } from './statistics.ts';

/** Somebody who is measured. One run starts and stops everything it needs. */
export interface Contender {
  readonly name: string;
  measure(): Promise<Figures>;
}

/**
 * Runs the contenders by turns and gives the figures of each, round by round. By turns and in changing order, because a
 * shared machine drifts: whoever ran first would have met another machine.
 */
export async function alternate(
  contenders: readonly Contender[],
  { rounds, signal, say }: { rounds: number; signal: AbortSignal; say: (text: string) => void },
): Promise<ReadonlyMap<string, readonly Figures[]>> {
  const results = new Map(contenders.map(({ name }) => [name, [] as Figures[]]));
  for (let number = 1; number <= rounds; number += 1) {
    for (const contender of number % 2 === 1 ? contenders : contenders.toReversed()) {
      signal.throwIfAborted();
      const figures = await contender.measure();
      results.get(contender.name)?.push(figures);
      const text = Object.entries(figures).map(([name, value]) => `${name} ${round(value)}`);
      say(`round ${number}/${rounds} ${contender.name}: ${text.join(', ')}`);
    }
  }
  return results;
}
