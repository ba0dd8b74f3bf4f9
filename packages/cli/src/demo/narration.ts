/** Tells the reader of the demo something, on standard error: standard output is for the line of `--json`. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A number of bytes as people read it. */
export function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
