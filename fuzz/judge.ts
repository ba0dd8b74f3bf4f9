import { setImmediate } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import type { Target } from './target.ts';

/** What is wrong with how the code took an input. */
export interface Fault {
  readonly kind: 'exception' | 'slow' | 'memory' | 'hang' | 'crash';
  /** The stack of the exception, or a sentence. */
  readonly text: string;
}

/** Longest time for one input, in ms. Honest ones take less than one; the event loop of a service stands still meanwhile. */
const MAX_INPUT_MS = 100;
/** Most memory outside the heap that one input may ask for, in bytes: buffers of a connection are some MiB. */
const MAX_EXTERNAL_BYTES = 64 * 1024 * 1024;

/** Gives `input` to the target; returns what it throws, be it late in a promise that nobody waits for. */
export async function judge(target: Target, input: Uint8Array): Promise<Fault | undefined> {
  try {
    const running = target.run(input);
    if (running === undefined) return undefined;
    await running;
    // Node tells of rejections that nobody handles once the microtasks are through.
    await setImmediate();
    return strays.take();
  } catch (error) {
    return { kind: 'exception', text: textOf(error) };
  }
}

/** As {@link judge}, and holds the input against the bounds of time and memory too. */
export async function judgeWithBounds(target: Target, input: Uint8Array): Promise<Fault | undefined> {
  const externalBefore = getHeapStatistics().external_memory;
  const startedAt = performance.now();
  const fault = await judge(target, input);
  if (fault !== undefined) return fault;
  const external = getHeapStatistics().external_memory - externalBefore;
  if (external > MAX_EXTERNAL_BYTES) return { kind: 'memory', text: `asks for ${external} bytes outside the heap` };
  if (performance.now() - startedAt < MAX_INPUT_MS) return undefined;
  return await judgeSlow(target, input);
}

/** Only what is slow each time is slow: a busy machine can make any input late once. */
async function judgeSlow(target: Target, input: Uint8Array): Promise<Fault | undefined> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    const startedAt = performance.now();
    await judge(target, input);
    least = Math.min(least, performance.now() - startedAt);
    if (least < MAX_INPUT_MS) return undefined;
  }
  return { kind: 'slow', text: `takes ${Math.round(least)} ms at best` };
}

/** Rejections that nobody handled and exceptions outside of any call, since the last look. */
class Strays {
  #first: unknown;
  #hasAny = false;

  listen(): void {
    const note = (error: unknown): void => {
      if (!this.#hasAny) this.#first = error;
      this.#hasAny = true;
    };
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
  }

  take(): Fault | undefined {
    if (!this.#hasAny) return undefined;
    this.#hasAny = false;
    return { kind: 'exception', text: `outside of any call: ${textOf(this.#first)}` };
  }
}

const strays = new Strays();

/** Catches what escapes from the code under test instead of letting it end the thread. */
export function catchStrays(): void {
  strays.listen();
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : `not an error: ${String(error)}`;
}
