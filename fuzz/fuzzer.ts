import type { Coverage } from './coverage.ts';
import { type Fault, judge, judgeWithBounds } from './judge.ts';
import { mutate } from './mutate.ts';
import type { SeededRandom } from './random.ts';
import type { Target } from './target.ts';

/** Inputs between two looks at the coverage, which cost several ms each. */
const BATCH = 250;
/** Most inputs kept as a base for others; more are rarely picked. */
const MAX_BASE = 4_000;

/** What a {@link Fuzzer} tells its owner. */
export interface FuzzerEvents {
  /** Called before each input. */
  current(input: Uint8Array): void;
  /** The input reaches code that no other has reached. */
  kept(input: Uint8Array): void;
  fault(input: Uint8Array, fault: Fault): void;
}

/** Makes inputs for one target, by its grammar and by changing those that have reached new code, and judges each. */
export class Fuzzer {
  readonly #target: Target;
  readonly #random: SeededRandom;
  readonly #coverage: Coverage;
  readonly #events: FuzzerEvents;
  readonly #base: Uint8Array[] = [];
  #inputs = 0;

  constructor({
    target,
    random,
    coverage,
    events,
  }: {
    target: Target;
    random: SeededRandom;
    coverage: Coverage;
    events: FuzzerEvents;
  }) {
    this.#target = target;
    this.#random = random;
    this.#coverage = coverage;
    this.#events = events;
  }

  /** Inputs judged so far. */
  get inputs(): number {
    return this.#inputs;
  }

  /** Inputs that others are made from. */
  get baseSize(): number {
    return this.#base.length;
  }

  /** Begins with what earlier runs have kept. */
  async seed(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) await this.#runAll([input]);
  }

  /** Judges one batch of new inputs. */
  async runBatch(): Promise<void> {
    await this.#runAll(Array.from({ length: BATCH }, () => this.#next()));
  }

  /** The kept inputs that suffice for all that they reach together, the shortest first. */
  async minimize(fresh: Coverage): Promise<Uint8Array[]> {
    const chosen: Uint8Array[] = [];
    for (const input of this.#base.toSorted((a, b) => a.length - b.length)) {
      this.#events.current(input);
      await judge(this.#target, input);
      const blocks = fresh.take();
      if (blocks.length > 0) chosen.push(input);
      fresh.note(blocks);
    }
    return chosen;
  }

  #next(): Uint8Array {
    const { maxLength, tokens } = this.#target;
    const random = this.#random;
    if (this.#base.length === 0 || random.oneIn(3)) {
      const input = this.#target.generate(random);
      const isPlain = random.oneIn(2);
      return isPlain ? input.subarray(0, maxLength) : mutate(input, { random, tokens, other: input, maxLength });
    }
    return mutate(this.#pickBase(), { random, tokens, other: this.#pickBase(), maxLength });
  }

  /** What came last has had the fewest children. */
  #pickBase(): Uint8Array {
    const { length } = this.#base;
    const at = this.#random.oneIn(2) ? this.#random.below(length) : length - 1 - this.#random.length(length - 1);
    return this.#base[at] ?? new Uint8Array();
  }

  async #runAll(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) {
      this.#events.current(input);
      this.#inputs += 1;
      const fault = await judgeWithBounds(this.#target, input);
      if (fault !== undefined) this.#events.fault(input, fault);
    }
    const blocks = this.#coverage.take();
    if (blocks.length > 0) await this.#keep(inputs, blocks);
    // What was reached by chance, by a timer say, is nobody's.
    this.#coverage.note(blocks);
  }

  /** Finds out which of the inputs have reached `blocks`, by running halves again. */
  async #keep(inputs: readonly Uint8Array[], blocks: readonly string[]): Promise<void> {
    const [first] = inputs;
    if (first === undefined) return;
    if (inputs.length === 1) {
      this.#coverage.note(blocks);
      if (this.#base.length < MAX_BASE) this.#base.push(first);
      this.#events.kept(first);
      return;
    }
    const middle = inputs.length >> 1;
    for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
      for (const input of half) {
        this.#events.current(input);
        await judge(this.#target, input);
      }
      const reached = this.#coverage.take();
      if (reached.length > 0) await this.#keep(half, reached);
    }
  }
}
