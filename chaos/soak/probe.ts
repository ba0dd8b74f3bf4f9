import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const PRELOADED = path.join(import.meta.dirname, 'resource-probe.ts');
/** Longest wait for a process to write down what it holds, in ms: it may be in the middle of something. */
const TIMEOUT_MS = 10_000;
const LOOK_MS = 20;

/** What a process holds by its own word, right after a collection of garbage. */
export interface Holding {
  /** Of JavaScript objects in use. */
  readonly heapMiB: number;
  /** What keeps its event loop alive: timers. */
  readonly timers: number;
  /** The same without timers: sockets, pipes, watchers, calls that run. */
  readonly handles: number;
}

/** Asks processes of a soak what they hold. */
export class Probe {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** `directory` must not be there yet. */
  static async create(directory: string): Promise<Probe> {
    await mkdir(directory);
    return new Probe(directory);
  }

  /** The environment of processes that can be asked, and of their children. */
  get env(): Readonly<Record<string, string>> {
    return { NODE_OPTIONS: `--import=${PRELOADED}`, SOAK_PROBE_DIRECTORY: this.#directory };
  }

  /** `undefined` if the process has ended, or has only begun. Throws if it does not answer. */
  async ask(pid: number): Promise<Holding | undefined> {
    const before = await this.#read(pid);
    if (before === undefined) return undefined;
    try {
      process.kill(pid, 'SIGUSR2');
    } catch {
      return undefined; // It has ended.
    }
    for (const endsAt = performance.now() + TIMEOUT_MS; performance.now() < endsAt; await delay(LOOK_MS)) {
      const said = await this.#read(pid);
      if (said === undefined || said.looks === before.looks) continue;
      const { Timeout: timers = 0, ...others } = said.resources;
      const handles = Object.values(others).reduce((sum, count) => sum + count, 0);
      return { heapMiB: said.heapMiB, timers, handles };
    }
    throw new Error(`process ${pid} did not say within ${TIMEOUT_MS / 1000} s what it holds`);
  }

  async #read(pid: number): Promise<Written | undefined> {
    const text = await readFile(path.join(this.#directory, `${pid}.json`), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as Written);
  }
}

interface Written {
  readonly looks: number;
  readonly heapMiB: number;
  readonly resources: Readonly<Record<string, number>>;
}
