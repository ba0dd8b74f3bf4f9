import { nameOf } from './corpus.ts';
import type { Fault } from './judge.ts';

/** Tells two faults apart by where they come from, so that one fault is one finding however many inputs show it. */
export function faultKey(target: string, { kind, text }: Fault): string {
  const frame = /^\s+at .*?(?<place>packages\/\S+?:\d+)/m.exec(text)?.groups?.['place'] ?? '';
  const [firstLine = ''] = text.split('\n');
  // Numbers differ from input to input.
  const sentence = kind === 'exception' ? firstLine.replaceAll(/[0-9]+/g, '#').slice(0, 120) : '';
  return `${target} ${kind} ${nameOf(Buffer.from(`${sentence} ${frame}`))}`;
}
