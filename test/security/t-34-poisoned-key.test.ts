import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene, TestIssuer, TestRegistry } from '../../packages/registry/src/registry-token/token.fixture.ts';

/** Each is a registry, and a token of mallory's own key that is shown to it again and again. */
const registries: Record<string, (good: string) => (token: string | undefined, path: string) => boolean> = {
  'that refuses it': (good) => (token) => token === good,
  'that accepts any token': () => (token) => token !== undefined,
  'that accepts everybody': () => () => true,
  'that looks at the claims and not at the signature': () => (token) => token?.split('.').length === 3,
};

for (const [name, accepts] of Object.entries(registries)) {
  test(`T-34: a key of an attacker is not learnt from a registry ${name}`, async () => {
    const [issuer, mallory] = [new TestIssuer(), new TestIssuer()];
    const good = await issuer.token({ jwk: issuer.jwk });
    const { verify, learn, tokens } = scene({ prober: new TestRegistry(accepts(good)) });
    let learnt = 0;
    tokens.onLearnt(() => {
      learnt += 1;
    });
    for (const header of [
      { jwk: mallory.jwk },
      { x5c: [await mallory.x5c()] },
      { kid: issuer.thumbprint, jwk: mallory.jwk },
    ]) {
      const forged = await mallory.token(header);
      for (let count = 0; count < 3; count += 1) {
        assert.equal(await verify(forged), undefined);
        await learn(forged);
      }
      assert.equal(await verify(forged), undefined);
    }
    assert.equal(learnt, 0);
  });
}

test('T-34: the true key is learnt from a registry that verifies, or these tests prove nothing', async () => {
  const issuer = new TestIssuer();
  const good = await issuer.token({ jwk: issuer.jwk });
  const { verify, learn } = scene({ prober: new TestRegistry((token) => token === good) });
  await learn(good);
  assert.ok(await verify(good));
});
