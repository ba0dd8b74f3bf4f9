import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Logger, silentLogger } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';
import type { EngineRun, ProcessEnd } from './engine-process.ts';
import { EngineSupervisor } from './engine-supervisor.ts';

/** An engine that does what the test says. */
class FakeRun implements EngineRun {
  readonly pid: number;
  readonly sent: FrontMessage[] = [];
  readonly say: (message: EngineMessage) => void;
  readonly #end = Promise.withResolvers<ProcessEnd>();
  readonly ended = this.#end.promise;
  readonly closed = this.#end.promise;

  constructor(pid: number, say: (message: EngineMessage) => void) {
    this.pid = pid;
    this.say = say;
  }

  send(message: FrontMessage): boolean {
    this.sent.push(message);
    if (message.type === 'stop') this.end({ code: 0, signal: null });
    return true;
  }

  end(end: ProcessEnd): void {
    this.#end.resolve(end);
  }

  kill(): void {
    this.end({ code: null, signal: 'SIGKILL' });
  }
}

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const runs: FakeRun[] = [];
  const events: string[] = [];
  const users: string[] = [];
  const note = (event: string): void => {
    events.push(event);
  };
  const log: Logger = { ...silentLogger, warn: note, error: note };
  const supervisor = new EngineSupervisor({
    launch: (say) => {
      const run = new FakeRun(runs.length + 1, say);
      runs.push(run);
      return run;
    },
    users: [
      {
        attach: () => users.push('attach'),
        detach: () => users.push('detach'),
        take: ({ type }) => users.push(type),
      },
    ],
    clock: new FakeClock(),
    random: () => 0,
    log,
  });
  t.after(() => supervisor.stop());
  /** The run that began last. */
  const last = (): FakeRun => {
    const run = runs.at(-1);
    assert.ok(run);
    return run;
  };
  /** Ends the present run, and lets the supervisor notice. */
  const crash = async (): Promise<void> => {
    last().kill();
    await last().ended;
    await Promise.resolve();
  };
  return { supervisor, runs, events, users, last, crash, timers: t.mock.timers };
}

const READY = { type: 'ready', peer: '127.0.0.1:1', nodeId: 'n' } as const;

test('an engine that ends is started again at once, and its users are told before', async (t) => {
  const { supervisor, runs, events, users, last, crash, timers } = setUp(t);
  await supervisor.start();
  last().say(READY);
  assert.deepEqual(await supervisor.first, { kind: 'ready', peer: READY.peer, nodeId: READY.nodeId });
  assert.deepEqual(supervisor.state, { state: 'running', pid: 1, restarts: 0, trouble: null });
  await crash();
  assert.deepEqual(users, ['attach', 'detach']);
  assert.deepEqual(events, ['engine_exited']);
  timers.tick(0);
  assert.equal(runs.length, 2);
  last().say({ type: 'alive' });
  assert.deepEqual(users, ['attach', 'detach', 'attach']);
  assert.deepEqual(supervisor.state, { state: 'starting', pid: 2, restarts: 1, trouble: null });
});

test('an engine goes on with the identity of the one before', async (t) => {
  const { supervisor, last, crash, timers } = setUp(t);
  await supervisor.start();
  assert.deepEqual(last().sent, [{ type: 'begin', identity: undefined }]);
  const identity = { nodeId: 'n' };
  last().say({ type: 'identity', identity });
  await crash();
  timers.tick(0);
  assert.deepEqual(last().sent, [{ type: 'begin', identity }]);
});

test('what an engine says after its end counts no more', async (t) => {
  const { supervisor, runs, users, last, crash } = setUp(t);
  await supervisor.start();
  last().say(READY);
  await crash();
  runs[0]?.say({ type: 'signed', id: 1 });
  assert.deepEqual(users, ['attach', 'detach']);
});

test('a mistake that only another start can mend is the end of the first one, and of the first one only', async (t) => {
  const { supervisor, runs, last, crash, timers } = setUp(t);
  const trouble = { type: 'trouble', code: 'STORE_LOCKED', details: { pid: 7 }, isFinal: true } as const;
  await supervisor.start();
  last().say(trouble);
  await assert.rejects(supervisor.first, { code: 'STORE_LOCKED', details: { pid: 7 } });
  await crash();
  timers.tick(60_000);
  assert.equal(runs.length, 1);
});

test('the same trouble is said once, however often an engine is started', async (t) => {
  const { supervisor, runs, events, last, crash, timers } = setUp(t);
  await supervisor.start();
  last().say(READY);
  await crash();
  for (let restart = 0; restart < 5; restart += 1) {
    timers.tick(8_000);
    last().say({ type: 'trouble', code: 'CONFIG_INVALID', details: { reason: 'no file' }, isFinal: true });
    await crash();
  }
  assert.equal(runs.length, 6);
  assert.deepEqual(events, ['engine_exited', 'engine_failed']);
  timers.tick(8_000);
  last().say(READY);
  await crash();
  assert.deepEqual(events, ['engine_exited', 'engine_failed', 'engine_exited']);
});

test('an engine without a sign of life is killed, one with a sign is not', async (t) => {
  const { supervisor, runs, events, last, timers } = setUp(t);
  await supervisor.start();
  last().say(READY);
  for (let second = 0; second < 60; second += 1) {
    timers.tick(1_000);
    last().say({ type: 'alive' });
  }
  assert.equal(runs.length, 1);
  timers.tick(26_000);
  assert.deepEqual(await last().ended, { code: null, signal: 'SIGKILL' });
  assert.deepEqual(events, ['engine_failed', 'engine_failed', 'engine_exited']);
});

test('nobody waits for an engine that is silent for long, and those who come after it speaks again are served', async (t) => {
  const { supervisor, runs, events, users, last, timers } = setUp(t);
  await supervisor.start();
  last().say(READY);
  const asked = supervisor.ask({ timeoutMs: 60_000 });
  timers.tick(7_000);
  assert.deepEqual(users, ['attach']);
  timers.tick(1_000);
  assert.deepEqual(users, ['attach', 'detach']);
  assert.equal(await asked, undefined);
  last().say({ type: 'alive' });
  assert.deepEqual(users, ['attach', 'detach', 'attach']);
  assert.deepEqual([runs.length, events], [1, ['engine_failed']]);
});

test('a question that the engine does not answer ends in time, or with the engine', async (t) => {
  const { supervisor, last, crash, timers } = setUp(t);
  assert.equal(await supervisor.ask({ timeoutMs: 100 }), undefined);
  await supervisor.start();
  last().say(READY);
  const asked = supervisor.ask({ timeoutMs: 100 });
  timers.tick(100);
  assert.equal(await asked, undefined);
  const cut = supervisor.ask({ timeoutMs: 100 });
  await crash();
  assert.equal(await cut, undefined);
});

test('stopping asks the engine to end and starts no other', async (t) => {
  const { supervisor, runs, last, timers } = setUp(t);
  await supervisor.start();
  last().say(READY);
  await supervisor.stop();
  timers.tick(60_000);
  assert.equal(runs.length, 1);
  assert.deepEqual(last().sent.at(-1), { type: 'stop' });
  assert.equal(supervisor.state.state, 'stopped');
});
