/**
 * `npm run bench -- NAME [--json] [--rounds N] [options]`: runs one benchmark and its opponents, by turns, on the same data.
 * Tables and progress go to stderr; with `--json` the result is the last line of stdout. See docs/performance.md.
 */
import { parseArgs } from 'node:util';
import { engineBenchmark } from './engine/engine.ts';
import { type Benchmark, UsageError, wholeNumber } from './harness/benchmark.ts';
import { Scope } from './harness/scope.ts';
import { memoryBenchmark } from './memory/memory.ts';
import { profileBenchmark } from './profile/profile.ts';
import { lateBenchmark } from './rollout/late.ts';
import { rolloutBenchmark } from './rollout/rollout.ts';
import { serveBenchmark } from './serve/serve.ts';
import { simBenchmark } from './sim/sim.ts';
import { swarmBenchmark } from './swarm/swarm.ts';
import { trackerBenchmark } from './tracker/tracker.ts';

const BENCHMARKS: readonly Benchmark[] = [
  engineBenchmark,
  profileBenchmark,
  memoryBenchmark,
  swarmBenchmark,
  serveBenchmark,
  rolloutBenchmark,
  lateBenchmark,
  trackerBenchmark,
  simBenchmark,
];

const say = (text: string): void => console.error(text);

async function main(args: readonly string[], signal: AbortSignal): Promise<void> {
  const benchmark = BENCHMARKS.find(({ name }) => name === args[0]);
  if (benchmark === undefined) throw new UsageError('there is no such benchmark');
  const { values } = parseArguments(args.slice(1), benchmark);
  await using scope = new Scope({ signal });
  const rounds = wholeNumber(values, 'rounds');
  const result = await benchmark.run({ scope, signal, rounds, values, say });
  if (values['json'] === true) console.log(JSON.stringify(result));
}

function parseArguments(args: readonly string[], { options, defaultRounds }: Benchmark) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...options,
        json: { type: 'boolean', default: false },
        rounds: { type: 'string', default: String(defaultRounds) },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function usage(): string {
  const lines = BENCHMARKS.map(({ name, summary, options }) => {
    const flags = Object.entries(options).map(([flag, { default: value }]) => `[--${flag} ${value ?? ''}]`);
    return `  ${name} ${flags.join(' ')}\n      ${summary}`;
  });
  return `usage: npm run bench -- NAME [--json] [--rounds N]\n${lines.join('\n')}`;
}

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));
try {
  await main(process.argv.slice(2), interrupted.signal);
} catch (error) {
  if (interrupted.signal.aborted) process.exitCode = 130;
  else if (error instanceof UsageError) {
    say(`${error.message}\n${usage()}`);
    process.exitCode = 2;
  } else {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}
