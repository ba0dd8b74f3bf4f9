import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_PATH, registry, repository, scene, TestIssuer, TestRegistry } from './token.fixture.ts';

const issuer = new TestIssuer();
const mallory = new TestIssuer();

/** A registry that verifies signatures, as it should. It believes one token. */
function honest(good: string): TestRegistry {
  return new TestRegistry((token) => token === good);
}

for (const [what, header] of [
  ['x5c', async () => ({ x5c: [await issuer.x5c()] })],
  ['jwk', async () => ({ jwk: issuer.jwk })],
] as const) {
  test(`a key in ${what} is pinned once the registry has proven it, and then judges other tokens by kid too`, async () => {
    const first = await issuer.token(await header());
    const { verify, learn, tokens } = scene({ prober: honest(first) });
    let learnt = 0;
    tokens.onLearnt(() => {
      learnt += 1;
    });
    assert.equal(await verify(first), undefined);
    await learn(first);
    assert.equal(learnt, 1);
    for (const token of [
      first,
      await issuer.token({ kid: issuer.libtrustId }),
      await issuer.token({ kid: issuer.thumbprint }),
    ])
      assert.ok(await verify(token));
    assert.equal(await verify(await mallory.token({ jwk: mallory.jwk })), undefined);
    assert.equal(await verify(await mallory.token({ kid: issuer.libtrustId })), undefined);
  });
}

test('a proof asks at both paths without the token, with a broken one, and with the token', async () => {
  const token = await issuer.token({ jwk: issuer.jwk });
  const { learn, prober } = scene({ prober: honest(token) });
  await learn(token);
  const count = (asked: string) => prober.asked.filter((entry) => entry === asked).length;
  // The first one without a token asks for the name of the service.
  assert.equal(count('/v2/'), 2);
  assert.equal(count('/v2/ with a token'), 3);
  assert.equal(count(BLOB_PATH), 1);
  assert.equal(count(`${BLOB_PATH} with a token`), 2);
  await learn(token);
  assert.equal(prober.asked.length, 8, 'what is known is not asked again');
});

const forged = await mallory.token({ jwk: mallory.jwk }, { exp: Math.floor(Date.now() / 1000) + 36_000 });
const sound = await issuer.token({ jwk: issuer.jwk });
const notProven: readonly (readonly [string, string, (token: string | undefined, path: string) => boolean])[] = [
  ['the registry has no authentication and answers yes to anybody', forged, (_token, path) => path !== '/v2/'],
  ['the repository is public and the registry does not look at the token', forged, (_token, path) => path !== '/v2/'],
  ['the registry takes any token', forged, (token) => token !== undefined],
  [
    'the registry takes any token for the repository',
    sound,
    (token, path) => token === sound || (token !== undefined && path !== '/v2/'),
  ],
  ['the repository is public', sound, (token, path) => token === sound || path !== '/v2/'],
  [
    'the repository is open to who shows no token at all',
    sound,
    (token, path) => token === sound || (token === undefined && path !== '/v2/'),
  ],
  [
    'the base is open to who shows no token at all',
    sound,
    (token, path) => token === sound || (token === undefined && path === '/v2/'),
  ],
  ['the base of the registry is open', sound, (token, path) => token === sound || path === '/v2/'],
  ['the registry takes the token at the base only', sound, (token, path) => token === sound && path === '/v2/'],
  ['the registry refuses the token', sound, () => false],
];

for (const [what, token, accepts] of notProven) {
  test(`no key is pinned where ${what}`, async () => {
    const { verify, learn, prober } = scene({ prober: new TestRegistry(accepts) });
    await learn(token);
    prober.accepts = () => false;
    assert.equal(await verify(token), undefined);
  });
}

test('a repository that its owner opens and closes between the questions proves nothing', async () => {
  const { verify, learn, prober, clock } = scene();
  // The owner's best luck: open for each question with the forged token itself, closed for all others.
  prober.accepts = (token, path) => token === forged && path !== '/v2/';
  for (let tries = 0; tries < 5; tries += 1) {
    await learn(forged);
    clock.advance(3_600_000);
  }
  assert.equal(await verify(forged), undefined);
});

test('a forged token costs the registry one question, and the next one for it is a while away', async () => {
  const { learn, prober, clock } = scene();
  prober.accepts = (_token, path) => path !== '/v2/';
  await learn(forged);
  assert.deepEqual(prober.asked, ['/v2/', '/v2/ with a token']);
  await learn(forged);
  assert.equal(prober.asked.length, 2);
  clock.advance(600_000);
  await learn(forged);
  assert.equal(prober.asked.length, 3);
});

for (const [what, make] of [
  ['whose signature is not of the key that it carries', () => mallory.token({ jwk: issuer.jwk })],
  ['that carries no key', () => issuer.token({ kid: issuer.libtrustId })],
  [
    'for another repository',
    () => issuer.token({ jwk: issuer.jwk }, { access: [{ type: 'repository', name: 'a/b', actions: ['pull'] }] }),
  ],
  ['for another service', () => issuer.token({ jwk: issuer.jwk }, { aud: 'other' })],
  ['that has ended', () => issuer.token({ jwk: issuer.jwk }, { exp: 1_000 })],
  ['with crit', () => issuer.token({ jwk: issuer.jwk, crit: ['b64'], b64: true })],
] as const) {
  test(`no key is pinned by a token ${what}, even if the registry takes it`, async () => {
    const token = await make();
    const { verify, learn, prober } = scene({ prober: honest(token) });
    await learn(token);
    assert.equal(await verify(await issuer.token({ kid: issuer.libtrustId })), undefined);
    assert.ok(!prober.asked.includes(BLOB_PATH));
  });
}

test('no key is pinned for an issuer that the operator has not named', async () => {
  const { verify, learn } = scene({ prober: honest(sound), issuer: 'other' });
  await learn(sound);
  assert.equal(await verify(sound), undefined);
});

test('a registry that is away proves nothing, and is asked again for another path', async () => {
  const { verify, learn, prober, clock } = scene({ prober: honest(sound) });
  prober.isAway = true;
  await learn(sound);
  prober.isAway = false;
  clock.advance(30_000);
  await learn(sound);
  assert.equal(await verify(sound), undefined);
  await learn(sound, `/v2/${repository}/blobs/sha256:${'b'.repeat(64)}`);
  assert.ok(await verify(await issuer.token({ kid: issuer.libtrustId })));
});

test('a pinned key is believed for an hour after its last proof', async () => {
  const { verify, learn, clock, prober } = scene();
  const tokenNow = () => {
    const seconds = Math.floor(clock.now() / 1000);
    return issuer.token({ jwk: issuer.jwk }, { iat: seconds, nbf: seconds, exp: seconds + 300 });
  };
  const learnOne = async () => {
    const token = await tokenNow();
    prober.accepts = (shown) => shown === token;
    await learn(token);
  };
  await learnOne();
  clock.advance(3_599_000);
  assert.ok(await verify(await tokenNow()));
  clock.advance(1_000);
  assert.equal(await verify(await tokenNow()), undefined);
  await learnOne();
  clock.advance(1_800_000);
  const asked = prober.asked.length;
  await learnOne();
  assert.ok(prober.asked.length > asked, 'the second half of its life is time for another proof');
  clock.advance(3_599_000);
  assert.ok(await verify(await tokenNow()));
});

test('a pinned key that the registry no longer believes is dropped, with all tokens of it', async () => {
  const { verify, learn, tokens } = scene({ prober: honest(sound) });
  await learn(sound);
  const other = await issuer.token({ kid: issuer.libtrustId });
  assert.ok(await verify(other));
  tokens.refused(`Bearer ${forged}`, { registry });
  await tokens.settled();
  assert.ok(await verify(other), 'a token that is not good says nothing of the key');
  tokens.refused(`Bearer ${other}`, { registry });
  await tokens.settled();
  assert.equal(await verify(other), undefined);
});

test('a registry has eight pinned keys at most', async () => {
  const { verify, learn, prober } = scene();
  const issuers = Array.from({ length: 9 }, () => new TestIssuer());
  for (const one of issuers) {
    const token = await one.token({ jwk: one.jwk });
    prober.accepts = (shown) => shown === token;
    await learn(token);
  }
  const known = await Promise.all(
    issuers.map(async (one) => (await verify(await one.token({ kid: one.libtrustId }))) !== undefined),
  );
  assert.deepEqual(known, [false, ...Array(8).fill(true)]);
});
