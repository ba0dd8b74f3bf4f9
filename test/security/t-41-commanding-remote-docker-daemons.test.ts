import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createSecureContext, type SecureContext } from 'node:tls';
import { parseDigest, redactText } from '@sealift/core';
import { createDockerKey, DockerCa, type DockerSubject } from '@sealift/pki';
import { DockerApi } from '../../packages/cli/src/rollout/docker-api.ts';
import { type DockerPki, FakeDockerd, IMAGE } from '../../packages/cli/src/rollout/fake-dockerd.fixture.ts';
import { registryAuthOf, secretsOf } from '../../packages/cli/src/rollout/registry-credential.ts';
import { JsonReporter } from '../../packages/cli/src/rollout/reporter.ts';
import { rollOut } from '../../packages/cli/src/rollout/rollout.ts';

const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`);
const OTHER = parseDigest(`sha256:${'b'.repeat(64)}`);
const DAY_MS = 86_400_000;
const HOST = { role: 'server', dnsNames: [], ipAddresses: ['127.0.0.1'] } as const;
const OPERATOR = { role: 'client', name: 'ops' } as const;
const signal = (): AbortSignal => AbortSignal.timeout(30_000);

type Files = DockerPki['server'];

/** What `sealift docker-tls` writes for `subject`. */
async function issue(ca: DockerCa, subject: DockerSubject): Promise<Files> {
  const key = await createDockerKey('p-256');
  return { ca: ca.certificatePem, cert: await ca.issue(subject, { publicKeyPem: key, ttlMs: DAY_MS }), key };
}

const newCa = (): Promise<DockerCa> => DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });

async function startDockerd(
  t: TestContext,
  server: Files,
  { resolvesTo = DIGEST, takesAnybody = false }: { resolvesTo?: string; takesAnybody?: boolean } = {},
): Promise<FakeDockerd> {
  const dockerd = await new FakeDockerd(
    { server, client: createSecureContext() },
    { resolvesTo, takesAnybody },
  ).start();
  t.after(() => dockerd.stop());
  return dockerd;
}

async function command(t: TestContext, { host }: FakeDockerd, secureContext: SecureContext): Promise<unknown> {
  const docker = new DockerApi({ host, secureContext, redact: (text) => text });
  t.after(() => docker.close());
  return await docker.resolve({ image: IMAGE, registryAuth: 'c2VjcmV0', signal: signal() }, '1');
}

test('T-41: whoever poses as a Docker host hears neither the image nor the credential, whatever the environment says', async (t) => {
  const [ca, foreign] = [await newCa(), await newCa()];
  const operator = createSecureContext(await issue(ca, OPERATOR));
  const other = { role: 'server', dnsNames: ['docker-2.example'], ipAddresses: ['192.0.2.22'] } as const;
  const impostors = {
    'of another CA': await issue(foreign, HOST),
    'with the certificate of another host': await issue(ca, other),
    "with an operator's certificate": await issue(ca, OPERATOR),
  };
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  t.after(() => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
  for (const [who, files] of Object.entries(impostors)) {
    const dockerd = await startDockerd(t, files, { takesAnybody: true });
    await assert.rejects(command(t, dockerd, operator), { code: 'DOCKER_UNAVAILABLE' }, who);
    assert.deepEqual(dockerd.requests, [], who);
  }
  assert.equal(await command(t, await startDockerd(t, await issue(ca, HOST)), operator), DIGEST);
});

test('T-41: a daemon takes orders from the certificate of an operator alone, not from that of another daemon', async (t) => {
  const [ca, foreign] = [await newCa(), await newCa()];
  const dockerd = await startDockerd(t, await issue(ca, HOST));
  const strangers = {
    'another daemon': createSecureContext(await issue(ca, HOST)),
    'an operator of another CA': createSecureContext({ ...(await issue(foreign, OPERATOR)), ca: ca.certificatePem }),
    nobody: createSecureContext({ ca: ca.certificatePem }),
  };
  for (const [who, context] of Object.entries(strangers)) {
    await assert.rejects(command(t, dockerd, context), { code: 'DOCKER_UNAVAILABLE' }, who);
  }
  assert.deepEqual(dockerd.requests, []);
});

test('T-41: a Docker host that was broken into repeats no credential, steers no terminal and stops no other host', async (t) => {
  const ca = await newCa();
  const operator = createSecureContext(await issue(ca, OPERATOR));
  const files = await issue(ca, HOST);
  const honest = [await startDockerd(t, files), await startDockerd(t, files), await startDockerd(t, files)];
  const [chatty, brief, endless] = [
    await startDockerd(t, files),
    await startDockerd(t, files),
    await startDockerd(t, files),
  ];
  // Longer than any reason that is printed, and of no known form.
  const credential = { username: 'alice', password: `${'hunter2-'.repeat(400)}!` };
  const registryAuth = registryAuthOf(credential, IMAGE.split('/')[0] as Parameters<typeof registryAuthOf>[1]);
  const story = `\u001b[2J${credential.password} and ${registryAuth}\u202e`;
  chatty.script = (response) => response.end(`${JSON.stringify({ error: story })}\n`);
  brief.inspection = (response) => response.writeHead(500).end(JSON.stringify({ message: story }));
  endless.script = (response) => {
    const more = (): void => void (response.destroyed || response.write('x'.repeat(16_384), () => setImmediate(more)));
    more();
  };
  const secrets = [...secretsOf(credential), registryAuth];
  const lines: string[] = [];
  const roll = (hosts: readonly FakeDockerd[]) =>
    rollOut({
      image: { text: `${IMAGE}:1`, name: IMAGE, tag: '1', digest: undefined },
      hosts: hosts.map(({ host }) => host),
      secureContextOf: () => operator,
      sourceBytesOf: async () => undefined,
      registryAuth,
      redact: (said) => redactText(secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), said)),
      waveSize: 6,
      maxFailed: 0,
      timeoutMs: 30_000,
      state: undefined,
      reporter: new JsonReporter((line) => lines.push(line)),
      signal: signal(),
    });
  const { pulled, failures } = await roll([...honest, chatty, brief, endless]);
  assert.equal(pulled, 3);
  assert.deepEqual(
    failures.map(({ host }) => host).sort(),
    [chatty, brief, endless].map(({ host }) => host.name).sort(),
  );
  const said = [...lines, ...failures.map(({ reason }) => reason)].join('\n');
  assert.doesNotMatch(said, /hunter2/);
  assert.ok(!said.includes(registryAuth.slice(0, 40)));
  assert.doesNotMatch(said.replaceAll('\n', ''), /\p{C}/u);

  // It cannot choose the image of the others either: they are asked what the tag means, too.
  const liar = await startDockerd(t, files, { resolvesTo: OTHER });
  const untouched = [await startDockerd(t, files), await startDockerd(t, files)];
  await assert.rejects(roll([liar, ...untouched]), { code: 'ROLLOUT_INCOMPLETE', message: /do not agree/ });
  for (const { pulls } of [liar, ...untouched]) assert.deepEqual(pulls, []);
});
