import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type connect, createSecureContext } from 'node:tls';
import { FakeClock } from '@sealift/testkit';
import { Dialer } from './dialer.ts';

const ADDRESS = { host: '192.0.2.1', port: 7445, context: createSecureContext() };

/** A dialer whose sockets do what the test says. */
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new FakeClock();
  const sockets: EventEmitter[] = [];
  const connecting = (() => {
    const socket = Object.assign(new EventEmitter(), { destroy: () => socket });
    sockets.push(socket);
    return socket;
  }) as unknown as typeof connect;
  const dialer = new Dialer({ clock, connect: connecting });
  /** Dials; resolves with how long it takes until it fails, in ms, and why. */
  const fail = async (): Promise<[number, string | undefined]> => {
    let error: NodeJS.ErrnoException | undefined;
    const dialling = dialer.dial(ADDRESS, { signal: new AbortController().signal }).catch((reason) => {
      error = reason;
    });
    let ms = 0;
    while (error === undefined && ms < 10_000) {
      t.mock.timers.tick(500);
      ms += 500;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (error !== undefined) await dialling;
    return [ms, error?.code];
  };
  return { dialer, sockets, clock, fail };
}

test('an address that does not answer is given up in seconds, and sooner while it is known for that', async (t) => {
  const { dialer, sockets, clock, fail } = setUp(t);
  assert.deepEqual(await fail(), [3_500, 'ETIMEDOUT']);
  assert.deepEqual(await fail(), [1_000, 'ETIMEDOUT']);
  clock.advance(60_000);
  assert.deepEqual(await fail(), [3_500, 'ETIMEDOUT']);
  const answered = dialer.dial(ADDRESS, { signal: new AbortController().signal });
  sockets.at(-1)?.emit('connect');
  sockets.at(-1)?.emit('secureConnect');
  await answered;
  assert.deepEqual(await fail(), [3_500, 'ETIMEDOUT']);
});

test('a host that is there has the time that its caller gives it for TLS', async (t) => {
  const { dialer, sockets } = setUp(t);
  const gone = new AbortController();
  const dialling = dialer.dial(ADDRESS, { signal: gone.signal });
  sockets.at(-1)?.emit('connect');
  t.mock.timers.tick(60_000);
  gone.abort(new Error('enough'));
  await assert.rejects(dialling, { message: 'enough' });
});
