import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Where the kept inputs of all targets are, a directory each. */
export const CORPUS_DIRECTORY = path.join(import.meta.dirname, 'corpus');
const LINE_LENGTH = 96;

/** One kept input. */
export interface CorpusEntry {
  readonly file: string;
  readonly bytes: Buffer;
}

/** The kept inputs of a target; none if it has no directory. */
export function readCorpus(target: string): CorpusEntry[] {
  const directory = path.join(CORPUS_DIRECTORY, target);
  return namesIn(directory).map((name) => {
    const file = path.join(directory, name);
    return { file, bytes: parseHex(readFileSync(file, 'utf8')) };
  });
}

/** Reads an input from hex; lines that begin with `#` say what it is. */
export function parseHex(text: string): Buffer {
  const digits = text.replaceAll(/^#.*$/gm, '').replaceAll(/\s/g, '');
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) throw new Error('not an input in hex');
  return Buffer.from(digits, 'hex');
}

/** Writes an input as hex into `directory`, under a name that follows from its bytes; returns the file. */
export function writeHex(
  directory: string,
  bytes: Uint8Array,
  { prefix = '', notes = [] }: { prefix?: string; notes?: readonly string[] } = {},
): string {
  mkdirSync(directory, { recursive: true });
  const file = path.join(directory, `${prefix}${nameOf(bytes)}.hex`);
  const comments = notes.flatMap((note) => note.split('\n')).map((line) => `# ${line}`);
  const hex = Buffer.from(bytes).toString('hex');
  const lines = hex.match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  writeFileSync(file, `${[...comments, ...lines].join('\n')}\n`);
  return file;
}

/** A short name for an input, by its bytes. */
export function nameOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.hex'))
      .sort();
  } catch {
    // A target without kept inputs.
    return [];
  }
}
