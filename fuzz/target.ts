import { type ErrorCode, isAppError } from '@sealift/core';
import type { SeededRandom } from './random.ts';

/**
 * Something that reads what strangers send. `run` takes one input and returns when all is as it should be; it throws
 * whatever is not: an exception that is no documented refusal, or a {@link Violation}. What it does follows from the
 * input's bytes alone, so that a finding can be repeated.
 */
export interface Target {
  readonly name: string;
  readonly summary: string;
  /** Longest input, in bytes: a little more than the longest that the code takes. */
  readonly maxLength: number;
  /** Words of the format, put into inputs by mutation. */
  readonly tokens: readonly Uint8Array[];
  /** Makes keys and the like; called once, before the first input. */
  start?(): Promise<void>;
  /** A new input after the grammar of the format, right or nearly so. */
  generate(random: SeededRandom): Uint8Array;
  run(input: Uint8Array): void | Promise<void>;
}

/** A promise of the code under test that an input has broken. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Throws a {@link Violation} unless `isHeld`. */
export function demand(isHeld: boolean, promise: string): asserts isHeld {
  if (!isHeld) throw new Violation(promise);
}

/** The result of `work`, or `undefined` if it refused with one of `codes`. Any other exception is thrown on: a finding. */
export function unlessRefused<T>(codes: readonly ErrorCode[], work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isAppError(error) && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** As {@link unlessRefused}, of a promise. */
export async function unlessRejected<T>(codes: readonly ErrorCode[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isAppError(error) && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** Words of a format that is text. */
export function textTokens(...words: readonly string[]): Uint8Array[] {
  return words.map((word) => Buffer.from(word, 'latin1'));
}
