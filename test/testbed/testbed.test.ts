import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { suite, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { leftoversOf } from './leftovers.ts';
import { type RunName, runNameOf } from './run-name.ts';
import { missingForTestbed } from './support.ts';
import { sweepDeadRuns } from './sweep.ts';
import { Testbed } from './testbed.ts';

/** Longest time that the reaper may take, in ms. */
const REAP_TIMEOUT_MS = 20_000;
const FIXTURE = path.join(import.meta.dirname, 'abandoned-testbed.ts');

/** Starts a process with a testbed of its own and gives the run's name, once everything of it runs. */
async function abandon() {
  const child = spawn(process.execPath, [FIXTURE], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const [name = '', reaper = ''] = line.split(' ');
  const runName = runNameOf(name);
  assert.ok(runName, line);
  return { child, runName, reaperPid: Number(reaper) };
}

async function waitUntilGone(runName: RunName): Promise<void> {
  const endsAt = Date.now() + REAP_TIMEOUT_MS;
  // The reaper is nobody's child by now, so there is no event to wait for.
  while ((await leftoversOf(runName)).length > 0 && Date.now() < endsAt) await setTimeout(50);
  assert.deepEqual(await leftoversOf(runName), []);
}

suite('a testbed', { skip: missingForTestbed() }, () => {
  test('leaves nothing behind when it is stopped, whatever still runs in it', async () => {
    const testbed = await Testbed.start({ hosts: { one: [] } });
    const service = testbed.network
      .host('one')
      .start('stubborn', ['sh', '-c', 'trap "" TERM; echo up; while :; do read x; done']);
    await service.waitFor('its start', (line) => line === 'up' || undefined);
    await testbed.stop();
    assert.equal(await service.ended, 'SIGKILL');
    assert.deepEqual(await leftoversOf(testbed.name), []);
  });

  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    test(`leaves nothing behind when its process dies of ${signal}`, async () => {
      const { child, runName } = await abandon();
      assert.notDeepEqual(await leftoversOf(runName), []);
      child.kill(signal);
      await once(child, 'close');
      await waitUntilGone(runName);
    });
  }

  test('is cleaned up by the next one when its reaper was killed as well', async () => {
    const { child, runName, reaperPid } = await abandon();
    process.kill(reaperPid, 'SIGKILL');
    child.kill('SIGKILL');
    await once(child, 'close');
    assert.notDeepEqual(await leftoversOf(runName), []);
    await sweepDeadRuns();
    assert.deepEqual(await leftoversOf(runName), []);
  });

  test('of a living process is left alone by another one', async () => {
    const { child, runName } = await abandon();
    const before = await leftoversOf(runName);
    await sweepDeadRuns();
    assert.deepEqual(await leftoversOf(runName), before);
    child.kill('SIGKILL');
    await once(child, 'close');
    await waitUntilGone(runName);
  });

  test('carries packets between its hosts, and none over a cut cable', async () => {
    const testbed = await Testbed.start({ hosts: { one: [], two: ['two.test'] } });
    const [one, two] = ['one', 'two'].map((name) => testbed.network.host(name));
    assert.ok(one && two);
    const listener = `require('net').createServer(s => s.end('hello')).listen(80, '0.0.0.0', () => console.log('up'))`;
    const service = two.start('listener', [process.execPath, '-e', listener]);
    await service.waitFor('its port', (line) => line === 'up' || undefined);
    const dial = `const s = require('net').connect(80, 'two.test').setTimeout(1000, () => process.exit(1)); s.pipe(process.stdout)`;
    const call = () => one.run([process.execPath, '-e', dial]);
    assert.equal((await call()).stdout, 'hello');
    await testbed.network.cut('two');
    assert.equal((await call()).stdout, '');
    await testbed.network.restore('two');
    assert.equal((await call()).stdout, 'hello');
    await testbed.stop();
  });
});
