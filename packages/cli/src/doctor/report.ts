import { printable } from '../printable.ts';
import type { CheckResult } from './examination.ts';

const MARKS = { ok: 'OK', warn: 'WARN', fail: 'FAIL', skipped: '--' } as const;
/** Columns before the text: the mark, and the longest id. */
const INDENT = 20;
/** Width of the text, in columns: with the indent a line fits a terminal of 100. */
const WIDTH = 80;

/** A result for people to read: the mark, what was found, and what to do. */
export function formatResult({ id, status, finding, advice }: CheckResult): string {
  const head = `${MARKS[status].padEnd(6)}${id.padEnd(INDENT - 6)}`;
  const lines = [...wrap(finding), ...(advice === undefined ? [] : [`→ ${printable(advice)}`])];
  // Advice stays in one line, so that what is to be typed can be copied.
  return `${head}${lines.join(`\n${' '.repeat(INDENT)}`)}\n`;
}

/** The last line: whether all is well. */
export function formatSummary(results: readonly CheckResult[]): string {
  const count = (status: CheckResult['status']): number => results.filter((result) => result.status === status).length;
  const [failed, warned, skipped] = [count('fail'), count('warn'), count('skipped')];
  if (failed === 0 && warned === 0) return 'All is well.\n';
  const parts = [`${failed} of ${results.length} checks failed`, `${warned} warned`, `${skipped} were skipped`];
  const next = failed === 0 ? '' : ' Begin with the first FAIL: the others may follow from it.';
  return `${parts.join(', ')}.${next}\n`;
}

/** Breaks a text between words; names of hosts and files in it may come from elsewhere. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of printable(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}
