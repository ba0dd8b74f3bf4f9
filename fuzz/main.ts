/**
 * `npm run fuzz -- [--target NAME] [--minutes N] [--seed S]`: gives hostile inputs to everything that reads what strangers
 * send, one target after another. Progress goes to stderr; with `--json` a summary is the last line of stdout. Exit status
 * 1 means a finding. See CONTRIBUTING.md.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fuzzTarget, type TargetResult } from './campaign.ts';
import { CORPUS_DIRECTORY, parseHex, readCorpus, writeHex } from './corpus.ts';
import { faultKey } from './fault-key.ts';
import { catchStrays, type Fault, judgeWithBounds } from './judge.ts';
import { type FuzzOptions, parseOptions, USAGE, UsageError } from './options.ts';
import type { Target } from './target.ts';

/** Longest input that goes into the corpus, in bytes, and most of one target: it is for reading too. */
const MAX_KEPT_LENGTH = 2_048;
const MAX_KEPT = 24;

interface Finding {
  readonly target: string;
  readonly kind: Fault['kind'];
  readonly file: string;
  readonly repeat: string;
}

const say = (text: string): void => console.error(text);

async function main(options: FuzzOptions, signal: AbortSignal): Promise<void> {
  if (options.repeat !== undefined) {
    await repeat(options.targets[0] as Target, options.repeat);
    return;
  }
  say(`seed ${options.seed}, ${options.minutes} minutes for ${options.targets.length} targets`);
  const findings = new Map<string, Finding>();
  const results: (TargetResult & { target: string; seconds: number })[] = [];
  for (const target of options.targets) {
    if (signal.aborted) break;
    const startedAt = performance.now();
    const result = await fuzz(target, options, { signal, findings });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    results.push({ target: target.name, seconds, ...result });
    if (options.isKeeping) keep(target, result.minimal);
  }
  for (const { kind, target, repeat } of findings.values()) say(`finding  ${target}: ${kind}\n         ${repeat}`);
  const inputs = results.reduce((sum, result) => sum + result.inputs, 0);
  say(`${inputs} inputs, ${findings.size} findings`);
  const targets = results.map(({ minimal: _, ...result }) => result);
  if (options.isJson)
    console.log(JSON.stringify({ seed: options.seed, inputs, targets, findings: [...findings.values()] }));
  if (findings.size > 0) process.exitCode = 1;
}

async function fuzz(
  target: Target,
  { minutes, seed, targets, out, isKeeping }: FuzzOptions,
  { signal, findings }: { signal: AbortSignal; findings: Map<string, Finding> },
): Promise<TargetResult> {
  const startedAt = performance.now();
  const show = ({ inputs, blocks, corpus }: Omit<TargetResult, 'minimal'>): void => {
    const perSecond = Math.round((inputs * 1000) / (performance.now() - startedAt));
    const counts = `${inputs} inputs, ${perSecond}/s, ${blocks} blocks reached, corpus ${corpus}, findings ${findings.size}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${target.name}: ${counts}`);
  };
  const result = await fuzzTarget(
    {
      target: target.name,
      seed,
      durationMs: (minutes * 60_000) / targets.length,
      corpus: readCorpus(target.name).map(({ bytes }) => bytes),
      isMinimizing: isKeeping,
    },
    {
      signal,
      events: { progress: show, fault: (input, fault) => note(target, input, fault, { seed, out, findings }) },
    },
  );
  const clear = process.stderr.isTTY ? '\r\x1b[K' : '';
  const perSecond = Math.round((result.inputs * 1000) / (performance.now() - startedAt));
  say(
    `${clear}${target.name}: ${result.inputs} inputs, ${perSecond}/s, ${result.blocks} blocks reached, corpus ${result.corpus}`,
  );
  return result;
}

/** Writes a fault down, once for each place that it comes from. */
function note(
  target: Target,
  input: Uint8Array,
  fault: Fault,
  { seed, out, findings }: { seed: number; out: string; findings: Map<string, Finding> },
): void {
  const key = faultKey(target.name, fault);
  if (findings.has(key)) return;
  const notes = [`target ${target.name}, seed ${seed}, ${fault.kind}`, fault.text];
  const file = writeHex(path.join(out, target.name), input, { prefix: `${fault.kind}-`, notes });
  const repeat = `npm run fuzz -- --target ${target.name} --repeat ${file}`;
  findings.set(key, { target: target.name, kind: fault.kind, file, repeat });
  say(`\nfinding in ${target.name}: ${fault.text}\n  ${repeat}`);
}

/** Runs one input in this very process, so that a debugger can follow it. */
async function repeat(target: Target, file: string): Promise<void> {
  catchStrays();
  await target.start?.();
  const fault = await judgeWithBounds(target, parseHex(readFileSync(file, 'utf8')));
  say(fault === undefined ? 'no fault' : `${fault.kind}: ${fault.text}`);
  if (fault !== undefined) process.exitCode = 1;
}

function keep(target: Target, inputs: readonly Uint8Array[]): void {
  const short = inputs.filter(({ length }) => length <= MAX_KEPT_LENGTH).slice(0, MAX_KEPT);
  for (const input of short) writeHex(path.join(CORPUS_DIRECTORY, target.name), input);
}

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));
try {
  await main(parseOptions(process.argv.slice(2)), interrupted.signal);
  if (interrupted.signal.aborted) process.exitCode = 130;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  say(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
