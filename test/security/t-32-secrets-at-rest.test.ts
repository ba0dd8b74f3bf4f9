import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import { AppError, createLogger, silentLogger, systemClock } from '@sealift/core';
import { RegistryClient } from '@sealift/registry';
import { FakeRegistry } from '@sealift/testkit';
import { CliProcess, inTemporaryDirectory, lonelyNode } from '../../packages/cli/src/cli-process.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { formsOf } from '../testbed/leaks.ts';

const cluster = new TestTracker({}, new FakeRegistry({ auth: 'bearer', isRedirecting: true }));
const PASSWORD = randomBytes(18).toString('base64url');
before(() => cluster.start());
after(() => cluster.stop());

/** Where each needle was found; the text of no needle is told. */
function findIn(texts: Readonly<Record<string, string>>, needles: readonly string[]): string[] {
  return Object.entries(texts).flatMap(([name, text]) =>
    needles.flatMap((needle, index) => (text.includes(needle) ? [`needle ${index} in ${name}`] : [])),
  );
}

test('T-32: the search finds what is planted, so that its silence means something', () => {
  const needles = formsOf([PASSWORD], ['alice']);
  assert.deepEqual(findIn({ log: `{"x":"${PASSWORD}"}`, audit: '{}' }, needles), ['needle 0 in log']);
  const basic = Buffer.from(`alice:${PASSWORD}`).toString('base64');
  assert.ok(findIn({ error: basic }, needles).length > 0);
});

test('T-32: neither log nor audit log nor error nor file says a token, after yes, no and failure', async () => {
  const { registry } = cluster;
  registry.tokens.addUser('alice', PASSWORD, ['team/app']);
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  const joinToken = cluster.state.joinTokens.create({ isReusable: true, ttlMs: 60_000 }).token;
  const good = await registry.tokens.issue({ repositories: ['team/app'] });
  const opaque = await registry.tokens.issue({ repositories: ['team/app'], form: 'opaque' });
  const foreign = await registry.tokens.issue({ repositories: ['team/other'] });
  const basic = `Basic ${Buffer.from(`alice:${PASSWORD}`).toString('base64')}`;
  const node = await cluster.enrol();
  const errors: unknown[] = [];
  const signal = AbortSignal.timeout(20_000);
  const body = { registry: registry.host, repository: 'team/app', digest, intent: 'pull' } as const;
  const grants: string[] = [];
  for (const authorization of [`Bearer ${good}`, `Bearer ${opaque}`, `Bearer ${foreign}`, basic, `Odd ${PASSWORD}`]) {
    for (const change of [{}, { digest: 'none' }, { registry: 'evil.example' }, { registry: PASSWORD.toUpperCase() }])
      await node.client.join({ ...body, ...change, authorization }, { signal }).then(
        (answer) => answer.verdict === 'granted' && grants.push(answer.grant),
        (error: unknown) => errors.push(error),
      );
  }
  assert.ok(grants.length > 0);
  await node.client.refresh({ grants }, { signal });
  const enrol = { csr: 'none', joinToken };
  await cluster
    .client(cluster.agent())
    .enrol(enrol, { signal })
    .catch((error: unknown) => errors.push(error));
  const client = new RegistryClient({ registries: [registry.config] });
  for (const fault of [{ kind: 'reset' }, { kind: 'raw', text: `HTTP/1.1 200 x\r\nBad\0: ${good}\r\n\r\n` }] as const) {
    registry.fail(digest, fault, { times: 4 });
    const options = { authorization: `Bearer ${good}`, signal };
    const blob = { ...body, repository: 'team/app' as never };
    await client.openBlob(blob, options).catch((error: unknown) => errors.push(error));
    registry.fail(digest, fault, { times: 4, at: 'cdn' });
    await client.openBlob(blob, options).catch((error: unknown) => errors.push(error));
  }
  await client.close();
  const needles = [
    ...formsOf([good, opaque, foreign, PASSWORD, joinToken, ...grants], ['alice']),
    'fake-cdn-signature',
  ];
  const texts: Record<string, string> = {
    log: cluster.logLines.join(''),
    audit: await cluster.auditText(),
    errors: errors.map((error) => inspect(error, { depth: 12, showHidden: true })).join('\n'),
  };
  for (const name of await readdir(cluster.directory))
    texts[name] = await readFile(path.join(cluster.directory, name), 'latin1');
  assert.ok(errors.length >= 8 && needles.length > 10);
  for (const name of ['log', 'audit', 'errors']) assert.ok((texts[name]?.length ?? 0) > 200, `${name} was searched`);
  assert.deepEqual(findIn(texts, needles), []);
});

test('T-32: the logger removes a token wherever a careless caller puts it', () => {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), level: 'debug', clock: systemClock });
  const token = `eyJhbGciOiJFUzI1NiJ9.${randomBytes(20).toString('base64url')}.${randomBytes(20).toString('base64url')}`;
  const cause = new Error(`GET https://cdn.example/x?signature=${PASSWORD} Authorization: Bearer ${token}`);
  log.warn('blob_fallback', {
    error: new AppError('REGISTRY_UNAVAILABLE', { reason: `Bearer ${token}` }, { cause }),
    authorization: `Bearer ${token}`,
    url: `https://a:${PASSWORD}@cdn.example/?signature=${PASSWORD}`,
  } as never);
  assert.deepEqual(findIn({ log: lines.join('') }, formsOf([token, PASSWORD])), []);
  assert.ok(lines.join('').includes('blob_fallback') && silentLogger);
});

test('T-32: the command line repeats no secret that it was given, and refuses a file that others may read', () =>
  inTemporaryDirectory(async (directory) => {
    const tokenFile = path.join(directory, 'token');
    await writeFile(tokenFile, `slj_${PASSWORD}`, { mode: 0o600 });
    await chmod(tokenFile, 0o644);
    const data = path.join(directory, 'data');
    const secret = `https://user:${PASSWORD}@tracker.example:7443#sha256:${'a'.repeat(64)}`;
    const commands = {
      'a file that others may read': [...lonelyNode(data), '--join-token-file', tokenFile],
      'a token in place of a file': [...lonelyNode(data), '--join-token-file', `slj_${PASSWORD}`],
      'credentials in an address': ['node', '--data', data, '--registry', 'registry.example', '--tracker', secret],
      'credentials in a registry': [...lonelyNode(data), '--registry', `alice:${PASSWORD}@registry.example`],
      'an option that does not exist': ['node', `--token=${PASSWORD}`],
    };
    for (const [name, args] of Object.entries(commands)) {
      const command = new CliProcess(args);
      const status = await command.ended();
      assert.ok(typeof status === 'number' && status > 0, `${name}: ${status}`);
      const texts = { said: command.said, printed: command.printed };
      assert.ok(command.said.length > 0, name);
      assert.deepEqual(findIn(texts, formsOf([PASSWORD])), [], name);
    }
  }));
