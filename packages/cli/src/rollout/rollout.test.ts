import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, before, beforeEach, suite, test } from 'node:test';
import { parseDigest } from '@sealift/core';
import { inTemporaryDirectory } from '../cli-process.fixture.ts';
import { DockerPki, FakeDockerd, IMAGE } from './fake-dockerd.fixture.ts';
import type { SourceBytes } from './outcome.ts';
import { formatSummary, JsonReporter } from './reporter.ts';
import { type RolloutOptions, rollOut } from './rollout.ts';
import { StateFile } from './state-file.ts';

const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`);
const OTHER = parseDigest(`sha256:${'b'.repeat(64)}`);

suite('a rollout', () => {
  let pki: DockerPki;
  let daemons: FakeDockerd[];
  let lines: Record<string, unknown>[];
  before(async () => {
    pki = await DockerPki.create();
  });
  beforeEach(async () => {
    lines = [];
    daemons = [1, 2, 3, 4].map(() => new FakeDockerd(pki, { resolvesTo: DIGEST }));
    await Promise.all(daemons.map((daemon) => daemon.start()));
  });
  afterEach(async () => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
  });

  function options(changes: Partial<RolloutOptions> = {}): RolloutOptions {
    return {
      image: { text: `${IMAGE}:1`, name: IMAGE, tag: '1', digest: undefined },
      hosts: daemons.map(({ host }) => host),
      secureContextOf: () => pki.client,
      sourceBytesOf: async () => undefined,
      registryAuth: undefined,
      redact: (text) => text,
      waveSize: 4,
      maxFailed: 0,
      timeoutMs: 60_000,
      state: undefined,
      reporter: new JsonReporter((line) => lines.push(JSON.parse(line))),
      signal: AbortSignal.timeout(60_000),
      ...changes,
    };
  }
  const daemon = (index: number): FakeDockerd => daemons[index] ?? assert.fail();
  const pulls = (): number[] => daemons.map((one) => one.pulls.length);
  const eventsOf = (host: FakeDockerd): unknown[] =>
    lines.filter((line) => line['host'] === host.host.name).map(({ event }) => event);

  test('all hosts get the digest that the tag means, and the tag; who has both is left alone', async () => {
    daemon(1).digests.add(DIGEST);
    daemon(2).digests.add(DIGEST).add(OTHER);
    daemon(2).tags.set('1', DIGEST);
    const { pulled, present, failed, downloadedBytes } = await rollOut(options());
    assert.deepEqual([pulled, present, failed, downloadedBytes], [2, 2, 0, 2_000]);
    assert.deepEqual(pulls(), [1, 0, 0, 1]);
    for (const { tags } of daemons) assert.equal(tags.get('1'), DIGEST);
    assert.deepEqual(eventsOf(daemon(0)), ['host_progress', 'host_progress', 'host_pulled']);
    assert.deepEqual(eventsOf(daemon(1)), ['host_present']);
  });

  test('waves follow each other, and one failure too many stops them', async () => {
    daemon(1).script = (response) => response.end('{"error":"no space left"}\n');
    const { pulled, failed, notStarted, failures } = await rollOut(options({ waveSize: 2 }));
    assert.deepEqual([pulled, failed, notStarted], [1, 1, 2]);
    assert.deepEqual(failures, [{ host: daemon(1).host.name, reason: 'no space left' }]);
    assert.deepEqual(pulls(), [1, 1, 0, 0]);
    const waves = lines.filter(({ event }) => event === 'wave_started').map(({ wave }) => wave);
    assert.deepEqual(waves, [1]);
  });

  test('as many failures as may be do not stop it', async () => {
    daemon(1).script = (response) => response.destroy();
    const { pulled, failed, notStarted } = await rollOut(options({ waveSize: 1, maxFailed: 1 }));
    assert.deepEqual([pulled, failed, notStarted], [3, 1, 0]);
  });

  test('a host that hangs fails when its time is up', async () => {
    daemon(3).script = () => {};
    const { failures, pulled } = await rollOut(options({ timeoutMs: 1_500 }));
    assert.equal(pulled, 3);
    assert.deepEqual(failures, [{ host: daemon(3).host.name, reason: 'it was not done after 1.5 s' }]);
  });

  test('hosts that do not agree what a tag means stop it before anybody pulls', async () => {
    daemon(1).resolvesTo = OTHER;
    await assert.rejects(rollOut(options()), { code: 'ROLLOUT_INCOMPLETE', message: /do not agree/ });
    assert.deepEqual(pulls(), [0, 0, 0, 0]);
  });

  test('a tag is resolved by those who answer; if nobody does, nothing is begun', async () => {
    await daemon(0).stop();
    const { failed, pulled } = await rollOut(options());
    assert.deepEqual([failed, pulled], [1, 3]);
    await Promise.all(daemons.map((one) => one.stop()));
    await assert.rejects(rollOut(options()), { code: 'ROLLOUT_INCOMPLETE', message: /no host can say/ });
  });

  test('an image given by digest asks nobody what it means, and gets no tag', async () => {
    const image = { text: `${IMAGE}@${OTHER}`, name: IMAGE, tag: undefined, digest: OTHER };
    const { pulled, digest } = await rollOut(options({ image }));
    assert.deepEqual([pulled, digest], [4, OTHER]);
    for (const { requests, tags } of daemons) {
      assert.equal(
        requests.some(({ url }) => url.includes('/distribution/')),
        false,
      );
      assert.equal(tags.size, 0);
    }
  });

  test('an interrupted rollout goes on where it ended, with the digest of its beginning', async () => {
    await inTemporaryDirectory(async (directory) => {
      const file = path.join(directory, 'state');
      const end = new AbortController();
      daemon(1).script = () => end.abort(new Error('Ctrl-C'));
      const image = `${IMAGE}:1`;
      const first = await StateFile.open(file, { image });
      const interrupted = await rollOut(options({ waveSize: 1, state: first, signal: end.signal }));
      await first.close();
      assert.deepEqual([interrupted.pulled, interrupted.interrupted, interrupted.notStarted], [1, 1, 2]);

      for (const one of daemons) Object.assign(one, { resolvesTo: OTHER, script: undefined });
      const before = daemon(0).requests.length;
      const second = await StateFile.open(file, { image });
      const resumed = await rollOut(options({ state: second }));
      await second.close();
      assert.deepEqual([resumed.pulled, resumed.doneBefore, resumed.digest], [3, 1, DIGEST]);
      assert.equal(daemon(0).requests.length, before, 'who is done is not asked again');
      for (const one of daemons) assert.deepEqual([...one.digests], [DIGEST]);

      const third = await StateFile.open(file, { image });
      assert.equal((await rollOut(options({ state: third }))).doneBefore, 4);
      await third.close();
    });
  });

  test('a state file that can no longer be written ends the rollout, with its error', async () => {
    await inTemporaryDirectory(async (directory) => {
      const state = await StateFile.open(path.join(directory, 'state'), { image: `${IMAGE}:1` });
      await state.begin({ image: `${IMAGE}:1`, digest: DIGEST });
      const earlier = {
        ...options(),
        state: Object.assign(state, { earlier: { digest: DIGEST, doneHosts: new Set() } }),
      };
      await state.close();
      await assert.rejects(rollOut({ ...earlier, waveSize: 1 }));
      assert.deepEqual(pulls(), [1, 0, 0, 0]);
    });
  });

  test('bytes by source are those that the nodes tell, and unknown for the others', async () => {
    const told = new Map<string, SourceBytes[]>([
      [
        daemon(0).host.name,
        [
          { registry: 5, peers: 10, cache: 0 },
          { registry: 5, peers: 900, cache: 110 },
        ],
      ],
      // It was started anew in between.
      [
        daemon(1).host.name,
        [
          { registry: 50, peers: 10, cache: 0 },
          { registry: 0, peers: 0, cache: 0 },
        ],
      ],
    ]);
    const summary = await rollOut(options({ sourceBytesOf: async ({ name }) => told.get(name)?.shift() }));
    assert.deepEqual(summary.sources, { registry: 0, peers: 890, cache: 110, knownHosts: 1 });
    assert.match(formatSummary(summary).join('\n'), /4 of 4 hosts have .*\n.*and unknown for 3 hosts/);
    const { sources } = await rollOut(options());
    assert.equal(sources, undefined);
  });

  test('a state file is for one image, survives a crash in the middle of a line, and is nothing else', async () => {
    await inTemporaryDirectory(async (directory) => {
      const file = path.join(directory, 'state');
      const open = (image: string) => StateFile.open(file, { image });
      const state = await open('a');
      await state.begin({ image: 'a', digest: DIGEST });
      await state.done('h1');
      await state.close();
      await assert.rejects(open('b'), { code: 'CONFIG_INVALID', message: /of another image/ });
      await appendFile(file, '{"host":"h2');
      const cut = await open('a');
      assert.deepEqual([...(cut.earlier?.doneHosts ?? [])], ['h1']);
      await cut.done('h3');
      await cut.close();
      const again = await open('a');
      assert.deepEqual(again.earlier, { digest: DIGEST, doneHosts: new Set(['h1', 'h3']) });
      await again.close();
      await writeFile(file, '{"im');
      await (await open('a')).close();
      assert.equal(await readFile(file, 'utf8'), '');
      execFileSync('mkfifo', [path.join(directory, 'pipe')]);
      await assert.rejects(StateFile.open(path.join(directory, 'pipe'), { image: 'a' }), { message: /is not a file/ });
      for (const foreign of ['registry.example\n', 'a secret without an end', '{"auths":{}}']) {
        await writeFile(file, foreign);
        await assert.rejects(open('a'), { code: 'CONFIG_INVALID', message: /is no state file/ });
        assert.equal(await readFile(file, 'utf8'), foreign, 'a file of somebody else stays as it is');
      }
    });
  });

  test('two rollouts do not use one state file at once, by whichever name', async () => {
    await inTemporaryDirectory(async (directory) => {
      const [file, link] = [path.join(directory, 'state'), path.join(directory, 'link')];
      const state = await StateFile.open(file, { image: 'a' });
      await symlink(file, link);
      await assert.rejects(StateFile.open(link, { image: 'a' }), {
        code: 'CONFIG_INVALID',
        message: new RegExp(`in use by another rollout \\(process ${process.pid}\\)`),
      });
      const other = await StateFile.open(path.join(directory, 'other'), { image: 'a' });
      await state.close();
      await (await StateFile.open(link, { image: 'a' })).close();
      await other.close();
      assert.deepEqual((await readdir(directory)).sort(), ['link', 'other', 'other.lock', 'state', 'state.lock']);
    });
  });
});
