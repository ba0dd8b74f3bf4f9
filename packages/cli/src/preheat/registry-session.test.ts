import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseImageReference, RegistryClient } from '@sealift/registry';
import { FakeRegistry } from '@sealift/testkit';
import type { RegistryCredential } from '../rollout/registry-credential.ts';
import { RegistrySession } from './registry-session.ts';

const USER = { username: 'alice', password: 'a-password' };

async function setUp(t: TestContext, auth: 'anonymous' | 'basic' | 'bearer', credential?: RegistryCredential) {
  const registry = new FakeRegistry({ auth });
  await registry.start();
  t.after(() => registry.stop());
  registry.tokens.addUser(USER.username, USER.password, ['team/app']);
  const digest = registry.addManifest('team/app', '1', { schemaVersion: 2 });
  const client = new RegistryClient({ registries: [registry.config] });
  t.after(() => client.close());
  const sessionFor = (image: string) =>
    new RegistrySession({
      client,
      image: parseImageReference(`${registry.host}/${image}`),
      credential,
      tls: registry.config,
    });
  return { registry, digest, sessionFor };
}

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

for (const auth of ['anonymous', 'basic', 'bearer'] as const) {
  test(`a tag is resolved by HEADs, where the registry wants ${auth}`, async (t) => {
    const { registry, digest, sessionFor } = await setUp(t, auth, USER);
    const session = sessionFor('team/app:1');
    assert.equal(await session.resolve({ signal: signal() }), digest);
    assert.deepEqual([registry.counts('1').gets, registry.counts(digest).gets], [0, 0]);
    const headers = await Promise.all([1, 2].map(() => session.authorization({ signal: signal() })));
    assert.equal(headers[0], headers[1]);
    assert.equal(headers[0]?.split(' ')[0]?.toLowerCase(), auth === 'anonymous' ? undefined : auth);
    assert.equal(registry.tokens.tokensServed, auth === 'bearer' ? 1 : 0);
  });
}

test('the registry’s no is told with its status, and no credential', async (t) => {
  const { sessionFor } = await setUp(t, 'bearer', { username: 'alice', password: 'wrong-password' });
  const wrong = await sessionFor('team/app:1')
    .resolve({ signal: signal() })
    .catch((error: Error) => error);
  assert.ok(wrong instanceof Error && /REGISTRY_REFUSED/.test((wrong as { code?: string }).code ?? ''));
  assert.ok(!wrong.message.includes('wrong-password'));
  const { sessionFor: known } = await setUp(t, 'bearer', USER);
  await assert.rejects(known('team/app:2').resolve({ signal: signal() }), { code: 'REGISTRY_REFUSED' });
});

test('a registry token is shown as it is, and an identity token is of no use here', async (t) => {
  const { digest, registry } = await setUp(t, 'bearer');
  const token = await registry.tokens.issue({ repositories: ['team/app'] });
  const of = (credential: RegistryCredential): RegistrySession => {
    const client = new RegistryClient({ registries: [registry.config] });
    t.after(() => client.close());
    const image = parseImageReference(`${registry.host}/team/app:1`);
    return new RegistrySession({ client, image, credential, tls: registry.config });
  };
  assert.equal(await of({ registrytoken: token }).resolve({ signal: signal() }), digest);
  assert.equal(registry.tokens.tokensServed, 0);
  await assert.rejects(of({ identitytoken: 'x' }).resolve({ signal: signal() }), { code: 'CONFIG_INVALID' });
});
