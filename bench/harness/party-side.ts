import { createInterface } from 'node:readline';
import type { Usage } from './party.ts';
import { threadCpuSeconds } from './process-usage.ts';

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Handlers = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

/** Answers the questions of a `Party`, `usage` and `threads` among them, until there are no more; then the process is to end. */
export function answerQuestions(handlers: Handlers): void {
  const all: Handlers = { usage: async () => usage(), threads: async () => threadCpuSeconds(), ...handlers };
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { id, name, argument } = JSON.parse(line) as Question;
    const answer = all[name]?.(argument as never) ?? Promise.reject(new Error(`nobody answers ${name}`));
    answer.then(
      (result) => send({ id, result: result ?? null }),
      (error: unknown) => send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  // The benchmark has gone, and with it the only reason to be.
  lines.on('close', () => process.exit());
}

function send(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function usage(): Usage {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakRssMiB: maxRSS / 1024 };
}
