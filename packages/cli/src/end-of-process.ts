/**
 * A second signal this long after the first forces the end, in ms. One keystroke may arrive twice: from the terminal, and
 * passed on by npm.
 */
const FORCE_AFTER_MS = 500;
/** Exit status of a process that a signal ended: 128 and its number (POSIX sh, "Exit Status for Commands"). */
const EXIT_STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/** Why a command was asked to end: the reason of its signal. */
export class EndRequest extends Error {
  /** What a command exits with if the end cut its work short. A service that stops cleanly exits with 0. */
  readonly exitStatus: number;

  constructor(exitStatus: number) {
    super('the process was asked to end');
    this.name = 'EndRequest';
    this.exitStatus = exitStatus;
  }
}

/** The exit status for work that `signal` cut short. */
export function exitStatusOf({ reason }: AbortSignal): number {
  return reason instanceof EndRequest ? reason.exitStatus : EXIT_STATUS.SIGTERM;
}

/**
 * Fires at the first SIGINT or SIGTERM, and when the process that started this one over a channel is gone. Another signal
 * ends the process at once; listeners of its `exit` event still run.
 */
export function endOfProcess(): AbortSignal {
  const end = new AbortController();
  const stop = (name: keyof typeof EXIT_STATUS): void => end.abort(new EndRequest(EXIT_STATUS[name]));
  let askedAt: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      const now = performance.now();
      if (askedAt !== undefined && now - askedAt > FORCE_AFTER_MS) process.exit(EXIT_STATUS[name]);
      askedAt ??= now;
      stop(name);
    });
  }
  if (process.channel !== undefined) {
    process.once('disconnect', () => stop('SIGTERM'));
    // The channel only tells of its end; it must not keep a finished command alive.
    process.channel.unref();
  }
  return end.signal;
}
