import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { suite, test } from 'node:test';
import { leftoversOf, runsOf } from '../testbed/leftovers.ts';
import { missingForTestbed } from '../testbed/support.ts';
import { processesOf } from '../testbed/sweep.ts';

const DEMO = path.join(import.meta.dirname, '..', '..', 'scripts', 'demo.ts');
const MIB = 1024 * 1024;

/** The demo as a process, with all that it says. */
class DemoRun {
  readonly child: ChildProcess;
  readonly said: string[] = [];
  readonly printed: string[] = [];
  readonly #waiters = new Set<(line: string) => void>();

  constructor(...options: string[]) {
    this.child = spawn(process.execPath, [DEMO, '--docker', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    const { stdout, stderr } = this.child;
    assert.ok(stdout && stderr);
    createInterface({ input: stdout }).on('line', (line) => this.printed.push(line));
    createInterface({ input: stderr }).on('line', (line) => {
      this.said.push(line);
      for (const waiter of this.#waiters) waiter(line);
    });
  }

  get pid(): number {
    assert.ok(this.child.pid);
    return this.child.pid;
  }

  /** Resolves when it says something with `text`; the test's own limit ends a wait in vain. */
  async hears(text: string): Promise<void> {
    if (this.said.some((line) => line.includes(text))) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = (line: string): void => {
      if (line.includes(text)) resolve();
    };
    this.#waiters.add(waiter);
    await promise;
    this.#waiters.delete(waiter);
  }

  /** Its exit status, or the signal that killed it. */
  async ended(): Promise<number | string> {
    const [code, signal] = (await once(this.child, 'close')) as [number | null, string | null];
    return code ?? signal ?? 'unknown';
  }
}

suite('the demo with Docker', { skip: missingForTestbed() }, () => {
  test('pulls an image on three dockerds for one copy, lets thieves have nothing, and keeps the logs if asked', async () => {
    const demo = new DemoRun('--json', '--keep');
    assert.equal(await demo.ended(), 0, demo.said.join('\n'));
    const result = JSON.parse(demo.printed.at(-1) ?? '');
    assert.equal(result.ok, true);
    assert.equal(result.nodes, 3);
    assert.ok(result.blobBytes > 48 * MIB);
    assert.equal(result.registryBlobBytes, result.blobBytes);
    assert.equal(result.sources.length, 3);
    for (const { registry } of result.sources) assert.equal(registry, 0);
    assert.deepEqual(
      result.refusals.map(({ bytesServed }: { bytesServed: number }) => bytesServed),
      [0, 0],
    );
    assert.deepEqual(await runsOf(demo.pid), []);
    const logs = /Logs are in (\S+)\.$/m.exec(demo.said.join('\n'))?.[1] ?? '';
    const names = await readdir(logs);
    for (const name of ['registry-registry-5000.log', 'tracker-tracker.log', 'node-1-node.log']) {
      assert.ok(names.includes(name), names.join(' '));
    }
    await rm(logs, { recursive: true });
  });

  test('ends with 130 on Ctrl-C in the middle of a pull, and leaves nothing', async () => {
    const demo = new DemoRun();
    await demo.hears('docker pull');
    const [run] = await runsOf(demo.pid);
    assert.ok(run);
    demo.child.kill('SIGINT');
    assert.equal(await demo.ended(), 130, demo.said.join('\n'));
    assert.deepEqual(await leftoversOf(run), []);
  });

  test('ends with 1 and says why when a dockerd dies, and leaves nothing', async () => {
    const demo = new DemoRun();
    await demo.hears('docker pull');
    const [run] = await runsOf(demo.pid);
    assert.ok(run);
    process.kill(await dockerdOf(await processesOf(run)), 'SIGKILL');
    assert.equal(await demo.ended(), 1, demo.said.join('\n'));
    assert.match(demo.said.join('\n'), /docker pull .* ended with 1/);
    assert.deepEqual(await leftoversOf(run), []);
  });

  test('refuses what it does not know with 64', async () => {
    const demo = new DemoRun('--nodes', '4');
    assert.equal(await demo.ended(), 64);
    assert.match(demo.said.join('\n'), /--nodes/);
  });
});

async function dockerdOf(pids: readonly number[]): Promise<number> {
  for (const pid of pids) {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (name.trim() === 'dockerd') return pid;
  }
  throw new Error('no dockerd runs');
}
