import { changedLines } from './changed-lines.ts';

/** Lines of unchanged text shown around a change, as diff(1) shows them. */
const CONTEXT_LINES = 3;
/** Keys whose values are not shown: a runtime's configuration may hold credentials beside what we change. */
const SECRET_LINE = /(?<key>["']?\b[\w-]*(?:auth|password|passwd|secret|token|credential)[\w-]*["']?\s*[=:]\s*).+/i;
/** User and password of a URL, such as that of a proxy. */
const USER_INFO = /(?<=:\/\/)[^\s/?#"']+@/g;

/**
 * What becomes of one file, as `diff -u` writes it; empty if nothing does. `undefined` is a file that is not there. All that
 * differs is one hunk, since each of our changes is in one place. What looks like a credential is shown without its value.
 */
export function unifiedDiff(path: string, before: string | undefined, after: string | undefined): string {
  if (before === after) return '';
  const { head, removed, added, tail } = changedLines(before, after);
  const leading = head.slice(-CONTEXT_LINES);
  const trailing = tail.slice(0, CONTEXT_LINES);
  const range = (changed: readonly string[]): string => {
    const count = leading.length + changed.length + trailing.length;
    const start = head.length - leading.length;
    return `${count === 0 ? start : start + 1},${count}`;
  };
  const show = (mark: string, lines: readonly string[]): string =>
    lines
      .map((line) => mark + withoutSecret(line) + (line.endsWith('\n') ? '' : '\n\\ No newline at end of file\n'))
      .join('');
  return [
    `--- ${before === undefined ? '/dev/null' : path}\n`,
    `+++ ${after === undefined ? '/dev/null' : path}\n`,
    `@@ -${range(removed)} +${range(added)} @@\n`,
    show(' ', leading) + show('-', removed) + show('+', added) + show(' ', trailing),
  ].join('');
}

function withoutSecret(line: string): string {
  return line.replace(SECRET_LINE, '$<key>…').replace(USER_INFO, '…@');
}
