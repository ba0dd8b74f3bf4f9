import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { isTrustedChain } from './certificate-chain.ts';
import { x509 } from './x509.ts';

const DAY_MS = 86_400_000;
const now = Date.now();
const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

interface Entity {
  readonly certificate: x509.X509Certificate;
  readonly keys: CryptoKeyPair;
}
type CryptoKeyPair = Awaited<ReturnType<typeof newKeys>>;

/** What may be wrong with a certificate; nothing is by default. */
interface Draft {
  readonly issuer?: Entity;
  /** Who really signs, where that is not the issuer that it names. */
  readonly signer?: Entity;
  readonly isCa?: boolean;
  readonly pathLength?: number;
  readonly usages?: number;
  readonly from?: number;
  readonly to?: number;
  readonly extra?: readonly x509.Extension[];
}

async function newKeys() {
  return (await crypto.subtle.generateKey(ECDSA, true, ['sign', 'verify'])) as unknown as {
    publicKey: Parameters<typeof x509.PublicKey.create>[0] & object;
    privateKey: object;
  };
}

async function make(name: string, draft: Draft = {}): Promise<Entity> {
  const { issuer, signer = issuer, isCa = false, pathLength, from = now - DAY_MS, to = now + DAY_MS } = draft;
  const keys = await newKeys();
  const { keyCertSign, digitalSignature } = x509.KeyUsageFlags;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    publicKey: keys.publicKey as never,
    signingKey: (signer?.keys ?? keys).privateKey as never,
    signingAlgorithm: ECDSA,
    notBefore: new Date(from),
    notAfter: new Date(to),
    extensions: [
      new x509.BasicConstraintsExtension(isCa, pathLength, true),
      new x509.KeyUsagesExtension(draft.usages ?? (isCa ? keyCertSign : digitalSignature), true),
      ...(draft.extra ?? []),
    ],
  });
  return { certificate, keys };
}

let root: Entity;
let middle: Entity;
let leaf: Entity;

before(async () => {
  root = await make('root', { isCa: true });
  middle = await make('middle', { isCa: true, issuer: root, pathLength: 0 });
  leaf = await make('leaf', { issuer: middle });
});

function trusts(chain: readonly Entity[], roots: readonly Entity[] = [root], at = now): boolean {
  const read = ({ certificate }: Entity) => new X509Certificate(Buffer.from(certificate.rawData));
  return isTrustedChain(chain.map(read), roots.map(read), at);
}

test('a chain of sound links that ends in a root is trusted, with the root in it or not', async () => {
  assert.equal(trusts([leaf, middle]), true);
  assert.equal(trusts([leaf, middle, root]), true);
  assert.equal(trusts([leaf], [root, middle]), true);
  const direct = await make('direct', { issuer: root, extra: [new x509.ExtendedKeyUsageExtension(['1.2.3'], true)] });
  assert.equal(trusts([direct]), true);
});

test('a chain is nothing without its root, nor a leaf by itself', async () => {
  const other = await make('root', { isCa: true });
  assert.equal(trusts([leaf, middle], []), false);
  assert.equal(trusts([leaf, middle], [other]), false);
  assert.equal(trusts([leaf]), false);
  assert.equal(trusts([leaf, root]), false);
  assert.equal(trusts([middle, leaf]), false);
  assert.equal(trusts([]), false);
  assert.equal(trusts([leaf, middle, middle, middle, middle]), false);
  assert.equal(trusts([root]), false, 'a root is for the caller to compare');
});

const refused: readonly (readonly [string, () => Promise<Entity[]>])[] = [
  ['a leaf that has ended', async () => [await make('x', { issuer: middle, to: now - 1000 }), middle]],
  ['a leaf that has not begun', async () => [await make('x', { issuer: middle, from: now + 5000 }), middle]],
  ['a leaf that only names its issuer', async () => [await make('x', { issuer: middle, signer: leaf }), middle]],
  [
    'a leaf that is not for signatures',
    async () => [await make('x', { issuer: middle, usages: x509.KeyUsageFlags.keyEncipherment }), middle],
  ],
  [
    'a critical extension that nobody here knows',
    async () => [
      await make('x', { issuer: middle, extra: [new x509.Extension('1.2.3.4', true, Buffer.from([5, 0]))] }),
      middle,
    ],
  ],
  ['a leaf as issuer', async () => [await make('x', { issuer: leaf }), leaf, middle]],
  [
    'an issuer that has ended',
    async () => {
      const ended = await make('ended', { isCa: true, issuer: root, to: now - 1000 });
      return [await make('x', { issuer: ended }), ended];
    },
  ],
  [
    'a CA that may not sign certificates',
    async () => {
      const mute = await make('mute', { isCa: true, issuer: root, usages: x509.KeyUsageFlags.cRLSign });
      return [await make('x', { issuer: mute }), mute];
    },
  ],
  [
    'a CA below one that allows none',
    async () => {
      const lower = await make('lower', { isCa: true, issuer: middle });
      return [await make('x', { issuer: lower }), lower, middle];
    },
  ],
];

for (const [what, chain] of refused) {
  test(`a chain with ${what} is not trusted`, async () => assert.equal(trusts(await chain()), false));
}

test('a root counts as long as it is valid, and as far as its path length reaches', async () => {
  assert.equal(trusts([leaf, middle], [root], now + 2 * DAY_MS), false);
  const short = await make('short', { isCa: true, pathLength: 0 });
  const below = await make('below', { isCa: true, issuer: short });
  assert.equal(trusts([await make('x', { issuer: short })], [short]), true);
  assert.equal(trusts([await make('x', { issuer: below }), below], [short]), false);
});
