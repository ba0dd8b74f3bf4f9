import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takePassedSocket } from './passed-socket.ts';

test('a socket counts only if it was handed to this very process, and no child hears of it', () => {
  const rows: readonly [env: NodeJS.ProcessEnv, fd: number | undefined][] = [
    [{ LISTEN_PID: '7', LISTEN_FDS: '1', LISTEN_FDNAMES: 'proxy' }, 3],
    [{ LISTEN_PID: '8', LISTEN_FDS: '1' }, undefined],
    [{ LISTEN_PID: '7', LISTEN_FDS: '0' }, undefined],
    [{ LISTEN_PID: '7' }, undefined],
    [{}, undefined],
  ];
  for (const [env, fd] of rows) {
    assert.equal(takePassedSocket(env, { pid: 7 }), fd);
    assert.deepEqual(env, {});
  }
});

test('more than one socket is a mistake', () => {
  assert.throws(() => takePassedSocket({ LISTEN_PID: '7', LISTEN_FDS: '2' }, { pid: 7 }), { code: 'CONFIG_INVALID' });
});
