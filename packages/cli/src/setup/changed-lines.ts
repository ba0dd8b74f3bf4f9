/** Where two texts differ, in lines: what is alike before and after that, and what stands between. */
export interface ChangedLines {
  readonly head: readonly string[];
  readonly removed: readonly string[];
  readonly added: readonly string[];
  readonly tail: readonly string[];
}

/** Compares two texts that differ in one place. A file that is not there has no lines. */
export function changedLines(before: string | undefined, after: string | undefined): ChangedLines {
  const [old, young] = [linesOf(before), linesOf(after)];
  const shortest = Math.min(old.length, young.length);
  let head = 0;
  while (head < shortest && old[head] === young[head]) head += 1;
  let tail = 0;
  while (tail < shortest - head && old.at(-1 - tail) === young.at(-1 - tail)) tail += 1;
  return {
    head: old.slice(0, head),
    removed: old.slice(head, old.length - tail),
    added: young.slice(head, young.length - tail),
    tail: old.slice(old.length - tail),
  };
}

/** Lines with their ends, so that a missing end of the last one is a difference too. */
function linesOf(text: string | undefined): string[] {
  return text === undefined ? [] : (text.match(/[^\n]*\n|[^\n]+$/g) ?? []);
}
