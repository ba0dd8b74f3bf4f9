import { AppError, type Clock, ERROR_CODES, type ErrorCode, type Logger } from '@sealift/core';
import type { Service } from '../service-stack.ts';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';
import type { EngineRun, ProcessEnd } from './engine-process.ts';
import { KeptGrants } from './kept-grants.ts';
import { RestartPolicy } from './restart-policy.ts';

/** How often a sign of life is looked for, in ms: an engine gives one each second. */
const CHECK_MS = 1_000;
/**
 * Checks in a row without one, after which nobody waits for the engine any longer. Above what a busy machine takes from a
 * process, below the time after which a swarm without progress is given up.
 */
const MAX_SILENT_CHECKS = 8;
/** The same after which it is killed: one that was stopped for a while goes on with all that it holds. */
const MAX_MISSED_CHECKS = 24;
/** Longest wait for an engine that was asked to end, in ms: it takes leave of its swarms and brings its files to the disk. */
const STOP_TIMEOUT_MS = 9_000;
/** Questions that may wait for an answer. Only people ask. */
const MAX_QUESTIONS = 64;

/** What became of the first start of an engine. */
export type FirstStart =
  | { readonly kind: 'ready'; readonly peer: string | undefined; readonly nodeId: string | undefined }
  /** It goes on without its store, or is being started again. */
  | { readonly kind: 'delayed' };

/** Who is told of the engine that runs. */
export interface EngineUser {
  attach(send: (message: FrontMessage) => boolean): void;
  detach(): void;
  take(message: EngineMessage): void;
}

/**
 * Keeps an engine running: starts it again when it ends, at once the first time and then with growing pauses. One that gives
 * no sign of life loses its users until it gives one, and is killed if it takes too long. Says each change of its state once.
 */
export class EngineSupervisor implements Service {
  readonly #launch: (onMessage: (message: EngineMessage) => void) => EngineRun;
  readonly #users: readonly EngineUser[];
  readonly #policy: RestartPolicy;
  readonly #log: Logger;
  readonly #first = Promise.withResolvers<FirstStart>();
  readonly #questions = new Map<number, (status: Record<string, unknown> | undefined) => void>();
  #run: EngineRun | undefined;
  #isHeard = false;
  #isReady = false;
  #isFirst = true;
  #isStopped = false;
  #restarts = 0;
  #nextQuestion = 0;
  #missedChecks = 0;
  /** What was last said to be wrong. */
  #trouble: { readonly code: string; readonly text: string } | undefined;
  #checks: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  /** Of the last engine: certificate and key, so that the next one need not enrol. */
  #identity: Record<string, unknown> | undefined;
  readonly #grants = new KeptGrants();

  constructor(options: {
    launch: (onMessage: (message: EngineMessage) => void) => EngineRun;
    users: readonly EngineUser[];
    clock: Clock;
    random?: () => number;
    log: Logger;
  }) {
    this.#launch = options.launch;
    this.#users = options.users;
    this.#policy = new RestartPolicy({ clock: options.clock, random: options.random ?? Math.random });
    this.#log = options.log;
    // Nobody may be waiting for it.
    this.#first.promise.catch(() => {});
  }

  /** What `sealift status` says of the process. */
  get state(): {
    readonly state: 'running' | 'starting' | 'stopped';
    readonly pid: number | null;
    readonly restarts: number;
    /** What keeps it from sharing, as an error code. */
    readonly trouble: string | null;
  } {
    const state = this.#isStopped ? 'stopped' : this.#isReady ? 'running' : 'starting';
    return { state, pid: this.#run?.pid ?? null, restarts: this.#restarts, trouble: this.#trouble?.code ?? null };
  }

  /**
   * Settles when the first engine is ready, or is known to need time. Rejects with what makes a start senseless: a mistake in
   * the configuration, or another process in the data directory; there is no other start then.
   */
  get first(): Promise<FirstStart> {
    return this.#first.promise;
  }

  async start(): Promise<void> {
    if (this.#isStopped || this.#checks !== undefined) return;
    this.#checks = setInterval(() => this.#check(), CHECK_MS);
    this.#checks.unref();
    this.#begin();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#checks);
    clearTimeout(this.#restart);
    this.#first.resolve({ kind: 'delayed' });
    const run = this.#run;
    if (run === undefined) return;
    if (!run.send({ type: 'stop' })) run.kill();
    const late = setTimeout(() => run.kill(), STOP_TIMEOUT_MS);
    await run.ended;
    clearTimeout(late);
    await run.closed;
  }

  /** Tells the engine something, if one runs. */
  tell(message: FrontMessage): void {
    if (this.#isHeard) this.#run?.send(message);
  }

  /** What the engine says of itself, or answers to another question; `undefined` if none runs or it does not answer within `timeoutMs`. */
  async ask({
    about = 'status',
    body,
    timeoutMs,
  }: {
    about?: string;
    body?: Record<string, unknown>;
    timeoutMs: number;
  }): Promise<Record<string, unknown> | undefined> {
    const id = this.#nextQuestion;
    this.#nextQuestion += 1;
    const isSent =
      this.#isHeard && this.#questions.size < MAX_QUESTIONS && this.#run?.send({ type: 'ask', id, about, body });
    if (isSent !== true) return undefined;
    const { promise, resolve } = Promise.withResolvers<Record<string, unknown> | undefined>();
    this.#questions.set(id, resolve);
    const late = setTimeout(() => resolve(undefined), timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      this.#questions.delete(id);
    }
  }

  #begin(): void {
    this.#policy.started();
    this.#missedChecks = 0;
    const run = this.#launch((message) => {
      if (this.#run === run) this.#take(message, run);
    });
    this.#run = run;
    for (const message of this.#grants.messages()) run.send(message);
    run.send({ type: 'begin', identity: this.#identity });
    void run.ended.then((end) => this.#ended(run, end));
  }

  #take(message: EngineMessage, run: EngineRun): void {
    this.#missedChecks = 0;
    if (!this.#isHeard) {
      this.#isHeard = true;
      for (const user of this.#users) user.attach((sent) => run.send(sent));
    }
    switch (message.type) {
      case 'alive':
        return;
      case 'ready':
        this.#isReady = true;
        this.#trouble = undefined;
        this.#first.resolve({ kind: 'ready', peer: message.peer, nodeId: message.nodeId });
        return;
      case 'identity':
        this.#identity = message.identity;
        return;
      case 'grant':
        this.#grants.take(message);
        return;
      case 'trouble':
        this.#troubled(message);
        return;
      case 'status':
        this.#questions.get(message.id)?.(message.status);
        return;
      default:
        for (const user of this.#users) user.take(message);
    }
  }

  #troubled({ code, details, isFinal }: Extract<EngineMessage, { type: 'trouble' }>): void {
    const error = new AppError(isErrorCode(code) ? code : 'ENGINE_FAILED', details as Record<string, string>);
    if (isFinal && this.#isFirst) {
      this.#isStopped = true;
      this.#first.reject(error);
      return;
    }
    this.#first.resolve({ kind: 'delayed' });
    const text = JSON.stringify([code, details]);
    if (this.#trouble?.text === text) return;
    this.#trouble = { code, text };
    this.#log.error(isFinal ? 'engine_failed' : 'store_unavailable', { error });
  }

  #ended(run: EngineRun, { code, signal }: ProcessEnd): void {
    this.#run = undefined;
    const wasReady = this.#isReady;
    this.#isReady = false;
    this.#detach();
    if (this.#isStopped) return;
    this.#isFirst = false;
    this.#first.resolve({ kind: 'delayed' });
    this.#restarts += 1;
    const restartInMs = this.#policy.ended();
    // One that never got so far has said why, once.
    if (wasReady || this.#trouble === undefined) {
      this.#log.error('engine_exited', { pid: run.pid, code, signal, restartInMs });
    }
    this.#restart = setTimeout(() => this.#begin(), restartInMs);
  }

  #check(): void {
    if (this.#run === undefined) return;
    this.#missedChecks += 1;
    const { pid } = this.#run;
    // One that never spoke is still starting: there is nobody to tell.
    if (this.#missedChecks === MAX_SILENT_CHECKS && this.#isHeard) {
      this.#log.error('engine_failed', { pid, reason: 'no sign of life, so nobody waits for it' });
      this.#detach();
    }
    if (this.#missedChecks !== MAX_MISSED_CHECKS) return;
    this.#log.error('engine_failed', { pid, reason: 'no sign of life, so it is killed' });
    this.#run.kill();
  }

  /** The engine does not hear, or not for now: nobody waits for it. */
  #detach(): void {
    this.#isHeard = false;
    for (const user of this.#users) user.detach();
    for (const answer of this.#questions.values()) answer(undefined);
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
