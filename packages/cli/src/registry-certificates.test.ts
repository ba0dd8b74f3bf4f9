import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AppError, parseClusterId, parseNodeId, parseRegistryHost } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa } from '@sealift/pki';
import { loadTrackerRegistries } from './registries.ts';
import { readRegistryCertificates } from './registry-certificates.ts';

const REGISTRY = parseRegistryHost('registry.example:5000');
const profile = { role: 'node', id: parseNodeId('client'), ttlMs: 3_600_000 } as const;

interface Pair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

async function newPair(ca: SwarmCa): Promise<Pair> {
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const { certificatePem } = await ca.issue(profile, await checkCsr(csrPem));
  return { certificatePem, privateKeyPem };
}

async function setUp(t: TestContext, name: string = REGISTRY) {
  const root = await mkdtemp(join(tmpdir(), 'sealift-certs-'));
  t.after(() => rm(root, { recursive: true }));
  const directory = join(root, name);
  await mkdir(directory);
  const ca = await SwarmCa.create({ clusterId: parseClusterId('test') });
  const put = (file: string, text: string, mode = 0o600) => writeFile(join(directory, file), text, { mode });
  const problems: AppError[] = [];
  const read = async () => {
    problems.length = 0;
    return await readRegistryCertificates(root, REGISTRY, { onProblem: (error) => void problems.push(error) });
  };
  const reasons = (): string[] => problems.map(({ code, details }) => `${code} ${details['reason']}`);
  return { root, directory, ca, anchor: ca.certificatePem.trim(), pair: await newPair(ca), put, read, reasons };
}

test('the user’s CAs are read, ours and what is no certificate are not', async (t) => {
  const { directory, anchor, put, read, reasons } = await setUp(t);
  assert.deepEqual(await read(), { anchors: undefined, client: undefined });
  await put('sealift-intercept.crt', anchor);
  await put('bad.crt', 'no certificate');
  await put('ca.pem', anchor);
  assert.deepEqual(await read(), { anchors: undefined, client: undefined });
  await put('ca.crt', `text before\n${anchor}\ntext behind`);
  assert.equal((await read()).anchors, `${anchor}\n`);
  assert.deepEqual(reasons(), []);
  await mkdir(join(directory, 'directory.crt'));
  assert.equal((await read()).anchors, `${anchor}\n`);
  assert.deepEqual(reasons(), ['CONFIG_INVALID cannot be read (EISDIR)']);
});

test('a pair as Docker names it is the client certificate, with its chain', async (t) => {
  const { anchor, pair, put, read, reasons } = await setUp(t);
  await put('client.cert', `${pair.certificatePem}${anchor}\n`);
  await put('client.key', pair.privateKeyPem);
  const { client } = await read();
  assert.equal(client?.certificatePem.split('BEGIN CERTIFICATE').length, 3);
  assert.equal(client.privateKeyPem.trim(), pair.privateKeyPem.trim());
  assert.deepEqual(reasons(), []);
});

test('halves of a pair, strangers in a pair and what is no key are told of, and the next pair is taken', async (t) => {
  const { ca, pair, put, read, reasons } = await setUp(t);
  const other = await newPair(ca);
  await put('a.cert', pair.certificatePem);
  await put('b.key', pair.privateKeyPem);
  await put('c.cert', pair.certificatePem);
  await put('c.key', other.privateKeyPem);
  await put('d.cert', pair.certificatePem);
  await put('d.key', 'no key');
  assert.equal((await read()).client, undefined);
  assert.deepEqual(reasons(), [
    'CONFIG_INVALID a.cert has no key beside it',
    'CONFIG_INVALID b.key has no certificate beside it',
    'CONFIG_INVALID a client certificate and its key do not belong together',
    'CONFIG_INVALID a client certificate or its key cannot be read',
  ]);
  await put('e.cert', other.certificatePem);
  await put('e.key', other.privateKeyPem);
  assert.equal((await read()).client?.privateKeyPem.trim(), other.privateKeyPem.trim());
  for (const reason of reasons()) assert.ok(!reason.includes('BEGIN'));
});

test('a key that others may read is told of: it is the caller who says whether it is used', async (t) => {
  const { root, directory, pair, put, read, reasons } = await setUp(t);
  await put('client.cert', pair.certificatePem, 0o644);
  await put('client.key', pair.privateKeyPem);
  await chmod(join(directory, 'client.key'), 0o644);
  assert.notEqual((await read()).client, undefined);
  assert.deepEqual(reasons(), ['KEY_FILE_UNSAFE others may read it']);
  const refuse = {
    onProblem: (error: AppError) => {
      throw error;
    },
  };
  await assert.rejects(readRegistryCertificates(root, REGISTRY, refuse), { code: 'KEY_FILE_UNSAFE' });
  await put('client.key', 'no key');
  await chmod(join(directory, 'client.key'), 0o600);
  await assert.rejects(readRegistryCertificates(root, REGISTRY, refuse), { code: 'CONFIG_INVALID' });
});

test('what stands in the place of a registry’s directory and cannot be read is told of; one that is missing is not', async (t) => {
  const { directory, root, read, reasons } = await setUp(t);
  await rm(directory, { recursive: true });
  await read();
  assert.deepEqual(reasons(), []);
  await writeFile(directory, '');
  await read();
  assert.deepEqual(reasons(), ['CONFIG_INVALID cannot be read (ENOTDIR)']);
  const tracker = { registry: [REGISTRY], registryCa: [] };
  await assert.rejects(loadTrackerRegistries({ ...tracker, registryCerts: root }), { code: 'CONFIG_INVALID' });
  await assert.rejects(loadTrackerRegistries({ ...tracker, registryCerts: join(root, 'mistyped') }), {
    code: 'CONFIG_INVALID',
    message: /--registry-certs: .*mistyped is not a directory/,
  });
});

test('hosts.toml of containerd names CA and client of the registry, and not of a mirror', async (t) => {
  const { directory, ca, anchor, pair, put, read, reasons } = await setUp(t, 'registry.example_5000_');
  const other = await newPair(ca);
  const mirror = (await SwarmCa.create({ clusterId: parseClusterId('mirror') })).certificatePem;
  await put('own.pem', anchor);
  await put('mirror.pem', mirror);
  await put('sealift-intercept.crt', mirror);
  await put('c.pem', pair.certificatePem);
  await put('k.pem', pair.privateKeyPem);
  await put('both.pem', `${other.certificatePem}${other.privateKeyPem}`);
  const host = (client: string): string => `
server = "https://registry.example:5000"
[host."http://127.0.0.1:3128"]
  ca = "mirror.pem"
  client = "both.pem"
[host."https://registry.example:5000"]
  ca = ["${join(directory, 'own.pem')}", "sealift-intercept.crt"]
  client = ${client}
`;
  for (const [client, expected] of [
    ['[["c.pem", "k.pem"]]', pair],
    ['[["both.pem", ""]]', other],
    ['["both.pem"]', other],
    ["'both.pem'", other],
  ] as const) {
    await put('hosts.toml', host(client));
    const found = await read();
    assert.equal(found.anchors, `${anchor}\n`);
    assert.equal(found.client?.privateKeyPem.trim(), expected.privateKeyPem.trim(), client);
    assert.deepEqual(reasons(), []);
  }
  await put('hosts.toml', 'ca = "own.pem"\nclient = [["c.pem", "k.pem"]]\n');
  assert.equal((await read()).anchors, `${anchor}\n`);
  await put('größe.pem', anchor);
  await put('hosts.toml', 'ca = "größe.pem"\n');
  assert.equal((await read()).anchors, `${anchor}\n`);
  await put('hosts.toml', 'client = [["c.pem"');
  assert.equal((await read()).client, undefined);
  assert.equal(reasons().length, 1);
  await put('hosts.toml', 'ca = "missing.pem"');
  await read();
  assert.deepEqual(reasons(), ['CONFIG_INVALID cannot be read (ENOENT)']);
});
