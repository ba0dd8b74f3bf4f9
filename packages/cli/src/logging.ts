import { createLogger, type Logger, type LogLevel, systemClock } from '@sealift/core';

/** The logger of a process: JSON lines on standard error. */
export function createProcessLogger(level: LogLevel, role: string): Logger {
  return createLogger({
    write: writeLogLine,
    level,
    clock: systemClock,
    fields: { role },
  });
}

/** Writes a line to the log of this process, its end included. */
export function writeLogLine(line: string): void {
  process.stderr.write(line.endsWith('\n') ? line : `${line}\n`);
}

/**
 * Keeps a service alive through an error that nobody awaited: dockerd has no second proxy, so one broken connection must
 * not end them all. Such an error is a bug and is logged as one.
 */
export function surviveBugs(log: Logger): void {
  process.on('unhandledRejection', (error) => log.error('fatal', { error, kind: 'unhandled rejection' }));
  process.on('uncaughtException', (error) => log.error('fatal', { error, kind: 'uncaught exception' }));
}

/** Resolves when `signal` fires. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}
