import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { parseKeySet } from './key-set.ts';
import { registry, repository, SERVICE, scene, TestIssuer } from './token.fixture.ts';

const issuer = new TestIssuer();
const rsa = new TestIssuer('RS256');
const ed = new TestIssuer('EdDSA');
const ps = new TestIssuer('RS256', 'PS256');
const rs512 = new TestIssuer('RS256', 'RS512');
const stranger = new TestIssuer();
const authority = new TestIssuer();
const certified = new TestIssuer();
const known = [issuer, rsa, ed, ps, rs512].map(({ pem }) => pem).join('');
const authorityPem = (await authority.certificate({ isCa: true })).toString();
const keySets = [
  parseKeySet(known + authorityPem),
  parseKeySet(JSON.stringify({ keys: [{ ...rsa.jwk, kid: 'key-2026', alg: 'RS256', use: 'sig' }] })),
];
const now = () => Math.floor(Date.now() / 1000);

const accepted: readonly (readonly [string, () => Promise<string>])[] = [
  ['distribution 2.8, libtrust kid', () => issuer.token({ kid: issuer.libtrustId })],
  ['distribution 2.8, x5c', async () => issuer.token({ x5c: [await issuer.x5c()] })],
  [
    'distribution 2.8, x5c of a CA in the bundle',
    async () => certified.token({ x5c: [await certified.x5c({ by: authority })] }),
  ],
  ['distribution 2.8, jwk', () => issuer.token({ jwk: issuer.jwk })],
  ['distribution 2.8, RS512', () => rs512.token({ kid: rs512.libtrustId })],
  [
    'distribution 2.8, neither nbf, iat, jti nor sub',
    () => issuer.token({ kid: issuer.libtrustId }, { nbf: undefined, iat: undefined, sub: undefined }),
  ],
  [
    'distribution 3, RFC 7638 kid and a list of audiences',
    () => issuer.token({ kid: issuer.thumbprint }, { aud: ['other', SERVICE] }),
  ],
  ['distribution 3, PS256', () => ps.token({ kid: ps.thumbprint })],
  ['distribution 3, EdDSA', () => ed.token({ kid: ed.thumbprint })],
  [
    'Harbor: RS256, libtrust kid, a list of one audience',
    () => rsa.token({ kid: rsa.libtrustId }, { iss: 'harbor-token-issuer', aud: [SERVICE], exp: now() + 1800 }),
  ],
  ['GitLab: RS256, kid of its JWKS', () => rsa.token({ kid: 'key-2026' }, { auth_type: 'build', exp: now() + 300 })],
  [
    'Quay: RS256, kid, an hour, anonymous',
    () => rsa.token({ kid: 'key-2026' }, { sub: '(anonymous)', exp: now() + 3600, context: {} }),
  ],
  [
    'Docker Hub: RS256, x5c, nbf five minutes back, no subject',
    async () => rsa.token({ jwk: rsa.jwk }, { sub: '', nbf: now() - 300 }),
  ],
  [
    'every action',
    () =>
      issuer.token({ kid: issuer.libtrustId }, { access: [{ type: 'repository', name: repository, actions: ['*'] }] }),
  ],
  [
    'several repositories',
    () =>
      issuer.token(
        { kid: issuer.libtrustId },
        {
          access: [
            { type: 'repository', name: 'a/b', actions: ['pull'] },
            { type: 'repository', name: repository, actions: ['push', 'pull'] },
          ],
        },
      ),
  ],
  [
    'a clock that is 50 s ahead of ours',
    () => issuer.token({ kid: issuer.libtrustId }, { iat: now() + 50, nbf: now() + 50 }),
  ],
  ['a token that ended 50 s ago', () => issuer.token({ kid: issuer.libtrustId }, { exp: now() - 50 })],
  ['no type', () => issuer.token({ kid: issuer.libtrustId, typ: undefined })],
];

for (const [what, token] of accepted) {
  test(`a token is taken: ${what}`, async () => {
    const text = await token();
    const { verify, prober } = scene({ keySets });
    prober.accepts = () => false;
    const rights = await verify(text);
    assert.equal(rights?.repositories.has(repository), true);
    assert.equal(
      rights?.expiresAt,
      (JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as { exp: number }).exp * 1000,
    );
    assert.deepEqual(await verify(text), rights);
  });
}

const withAccess = (entry: unknown) => issuer.token({ kid: issuer.libtrustId }, { access: [entry] });
const right = { type: 'repository', name: repository, actions: ['pull'] };
const refused: readonly (readonly [string, () => Promise<string>])[] = [
  ['no algorithm', async () => unsigned({ alg: 'none', kid: issuer.libtrustId })],
  ['HS256 with the public key as secret', async () => macWith(issuer.pem, { alg: 'HS256', kid: issuer.libtrustId })],
  [
    'HS256 under an embedded secret',
    async () => macWith('s', { alg: 'HS256', jwk: { kty: 'oct', k: Buffer.from('s').toString('base64url') } }),
  ],
  ['an algorithm that the JWKS does not allow its key for', () => rsa.token({ kid: 'key-2026', alg: 'RS512' })],
  ['another key under a known kid', () => stranger.token({ kid: issuer.libtrustId })],
  ['another key with its own x5c', async () => stranger.token({ x5c: [await stranger.x5c()] })],
  ['another key with the x5c of a known one', async () => stranger.token({ x5c: [await issuer.x5c()] })],
  [
    'another key with its own x5c under the kid of a known one',
    async () => stranger.token({ kid: issuer.libtrustId, x5c: [await stranger.x5c()] }),
  ],
  ['another key with its own jwk', () => stranger.token({ jwk: stranger.jwk, kid: issuer.thumbprint })],
  ['a certificate that only names the CA', async () => certified.token({ x5c: [await certified.x5c()] })],
  [
    'a chain that a leaf goes on',
    async () =>
      stranger.token({ x5c: [await stranger.x5c({ by: certified }), await certified.x5c({ by: authority })] }),
  ],
  [
    'a private key in its header',
    () => issuer.token({ jwk: issuer.privateKey.export({ format: 'jwk' }) as Record<string, unknown> }),
  ],
  ['x5c that is no list', () => issuer.token({ x5c: 'x', kid: issuer.libtrustId })],
  ['x5c of rubbish', () => issuer.token({ x5c: ['AAAA'], kid: issuer.libtrustId })],
  ['x5c of five certificates', async () => issuer.token({ x5c: Array(5).fill(await issuer.x5c()) })],
  ['a plain kid', () => issuer.token({ kid: 'issuer' })],
  ['no hint at its key', () => issuer.token()],
  ['crit', () => issuer.token({ kid: issuer.libtrustId, crit: ['b64'], b64: true })],
  ['the type of another token', () => issuer.token({ kid: issuer.libtrustId, typ: 'sealift-grant+jwt' })],
  ['a minute and more after its end', () => issuer.token({ kid: issuer.libtrustId }, { exp: now() - 61 })],
  ['no end', () => issuer.token({ kid: issuer.libtrustId }, { exp: undefined })],
  ['an end within a second', () => issuer.token({ kid: issuer.libtrustId }, { exp: now() + 300.5 })],
  ['a beginning in two minutes', () => issuer.token({ kid: issuer.libtrustId }, { nbf: now() + 120 })],
  ['an issue in two minutes', () => issuer.token({ kid: issuer.libtrustId }, { iat: now() + 120 })],
  ['another audience', () => issuer.token({ kid: issuer.libtrustId }, { aud: 'other' })],
  ['a list of other audiences', () => issuer.token({ kid: issuer.libtrustId }, { aud: ['other', `${SERVICE}.evil`] })],
  ['no audience', () => issuer.token({ kid: issuer.libtrustId }, { aud: undefined })],
  ['no access', () => issuer.token({ kid: issuer.libtrustId }, { access: undefined })],
  ['an empty access', () => issuer.token({ kid: issuer.libtrustId }, { access: [] })],
  ['the right to push', () => withAccess({ ...right, actions: ['push'] })],
  ['an action that holds "pull"', () => withAccess({ ...right, actions: ['pull,push'] })],
  ['actions that are no list', () => withAccess({ ...right, actions: 'pull' })],
  ['a longer repository', () => withAccess({ ...right, name: `${repository}s` })],
  ['a shorter repository', () => withAccess({ ...right, name: 'team' })],
  ['a pattern for repositories', () => withAccess({ ...right, name: '*' })],
  ['another type of thing', () => withAccess({ ...right, type: 'registry' })],
  ['an access that is null', () => withAccess(null)],
];

for (const [what, token] of refused) {
  test(`a token says nothing: ${what}`, async () =>
    assert.equal(await scene({ keySets }).verify(await token()), undefined));
}

test('a token of the wrong issuer says nothing where the issuer is set', async () => {
  const { verify } = scene({ keySets, issuer: 'issuer' });
  assert.ok(await verify(await issuer.token({ kid: issuer.libtrustId })));
  assert.equal(await verify(await issuer.token({ kid: issuer.libtrustId }, { iss: 'other' })), undefined);
});

test('a token changed in any part says nothing', async () => {
  const { verify } = scene({ keySets });
  const token = await issuer.token({ kid: issuer.libtrustId });
  assert.ok(await verify(token));
  for (const [index, part] of token.split('.').entries()) {
    const parts = token.split('.');
    const bytes = Buffer.from(part, 'base64url');
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    parts[index] = bytes.toString('base64url');
    assert.equal(await verify(parts.join('.')), undefined);
  }
});

test('what is no JWT, too long a one, Basic and opaque tokens are left to the registry', async () => {
  const { tokens, prober } = scene({ keySets });
  const long = await issuer.token({ kid: issuer.libtrustId, filler: 'x'.repeat(20_000) });
  const opaque = 'ghs_opaque';
  for (const header of [
    `Bearer ${long}`,
    `Bearer ${opaque}`,
    'Basic YWxpY2U6c2VjcmV0',
    'Bearer a.b',
    'Bearer a.b.c',
    'Bearer e30.e30.AA',
    '',
    undefined,
  ])
    assert.equal(await tokens.verifyHeader(header, { registry, repository }), undefined);
  assert.deepEqual(prober.asked, []);
});

test('without a service name from the registry no token can be judged, and the question is not repeated at once', async () => {
  const { verify, prober, clock } = scene({ keySets });
  prober.accepts = () => true;
  const token = await issuer.token({ kid: issuer.libtrustId });
  assert.equal(await verify(token), undefined);
  prober.accepts = () => false;
  assert.equal(await verify(token), undefined);
  assert.equal(prober.asked.length, 1);
  clock.advance(30_000);
  assert.ok(await verify(token));
});

test('a remembered token ends with its time', async () => {
  const { verify, clock } = scene({ keySets });
  const token = await issuer.token({ kid: issuer.libtrustId }, { exp: now() + 10 });
  assert.ok(await verify(token));
  clock.advance(71_000);
  assert.equal(await verify(token), undefined);
});

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

async function unsigned(header: object): Promise<string> {
  const [, claims] = (await issuer.token()).split('.');
  return `${encode(header)}.${claims}.AA`;
}

async function macWith(secret: string, header: object): Promise<string> {
  const [, claims] = (await issuer.token()).split('.');
  const signed = `${encode(header)}.${claims}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
