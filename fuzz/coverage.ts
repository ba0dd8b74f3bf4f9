import { type Profiler, Session } from 'node:inspector';

/** Only our own code counts: what an input reaches in Node or in a library says little about it. */
const OWN_CODE = /\/packages\/[^/]+\/src\/.*(?<!\.test|\.fixture)\.ts$/;

/** Tells which blocks of our code an input has reached for the first time, by V8's precise coverage of this thread. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  /** Begins to count. Slows the thread down by about a third. */
  start(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  stop(): void {
    this.#session.disconnect();
  }

  /** Blocks reached so far. */
  get size(): number {
    return this.#seen.size;
  }

  /** What was reached since the last call and never before it. Not noted yet: see {@link note}. */
  take(): string[] {
    const fresh: string[] = [];
    for (const { url, functions } of this.#counts()) {
      if (!OWN_CODE.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const block = `${url}:${startOffset}-${endOffset}`;
          if (count > 0 && !this.#seen.has(block)) fresh.push(block);
        }
      }
    }
    return fresh;
  }

  note(blocks: readonly string[]): void {
    for (const block of blocks) this.#seen.add(block);
  }

  #counts(): readonly Profiler.ScriptCoverage[] {
    let result: readonly Profiler.ScriptCoverage[] = [];
    // Answered before `post` returns, because the session is of this very thread.
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      result = taken.result;
    });
    return result;
  }
}
