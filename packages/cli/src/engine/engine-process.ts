import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { ENGINE_HEAP_ARGS } from '../heap.ts';
import { EngineChannel } from './engine-channel.ts';
import { ENGINE_MESSAGES, type EngineMessage, type FrontMessage, parseMessage } from './engine-messages.ts';
import { LineSplitter } from './line-splitter.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
/** Longest line of the engine's log that is passed on, in bytes; a longer one is none of ours. */
const MAX_LOG_LINE_BYTES = 256 * 1024;
/** The descriptor on which an engine finds its front: the first one after the standard streams. */
export const CHANNEL_FD = 3;

/** How a process ended; both are `null` for one that could not be started. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One run of an engine. */
export interface EngineRun {
  readonly pid: number | undefined;
  /** `false` if the engine cannot hear any more. */
  send(message: FrontMessage): boolean;
  kill(): void;
  /** Settles as soon as the process has ended. Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** Settles once its last log line is written, too. */
  readonly closed: Promise<unknown>;
}

/**
 * Starts the engine of a node as a child process with the options of its front. Its log lines go to `writeLine`, whole; its
 * channel ends with either process, and with it the engine: one that cannot be heard is killed.
 */
export function launchEngine({
  args,
  onMessage,
  writeLine,
}: {
  args: readonly string[];
  onMessage: (message: EngineMessage) => void;
  writeLine: (line: string) => void;
}): EngineRun {
  const child = spawn(process.execPath, [...ENGINE_HEAP_ARGS, ...process.execArgv, MAIN, 'node-engine', ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  const { promise: ended, resolve } = Promise.withResolvers<ProcessEnd>();
  child.once('exit', (code, signal) => resolve({ code, signal }));
  child.once('error', () => {
    if (child.pid === undefined) resolve({ code: null, signal: null });
  });
  const closed = child.pid === undefined ? ended : once(child, 'close');
  const lines = new LineSplitter({ maxBytes: MAX_LOG_LINE_BYTES, onLine: writeLine, onTooLong: () => {} });
  child.stderr?.on('data', (chunk: Buffer) => lines.push(chunk));
  child.stderr?.once('end', () => lines.flush());
  const channel = new EngineChannel<EngineMessage, FrontMessage>({
    stream: child.stdio[CHANNEL_FD] as Duplex,
    parse: (text) => parseMessage(ENGINE_MESSAGES, text),
    onMessage,
    onClosed: kill,
  });
  void ended.then(() => channel.close());
  return { pid: child.pid, send: (message) => channel.send(message), kill, ended, closed };
}
