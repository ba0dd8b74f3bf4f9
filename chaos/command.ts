/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Says something to people; what programs read goes to stdout. */
export const say = (text: string): void => console.error(text);

/**
 * Runs a command of this directory to its end. Exit status 1 is what it came to by itself or that it broke, 2 a command line
 * that cannot be understood, 130 an interruption.
 */
export async function runCommand(
  main: (args: readonly string[], signal: AbortSignal) => Promise<void>,
  { usage }: { usage: string },
): Promise<void> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));
  try {
    await main(process.argv.slice(2), interrupted.signal);
  } catch (error) {
    if (interrupted.signal.aborted) process.exitCode = 130;
    else if (error instanceof UsageError) {
      say(`${error.message}\n${usage}`);
      process.exitCode = 2;
    } else {
      say(error instanceof Error ? (error.stack ?? error.message) : String(error));
      process.exitCode = 1;
    }
  }
}
