import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isAppError,
  parseDigest,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  type Revocation,
} from '@sealift/core';
import fc from 'fast-check';
import {
  type AnnounceAnswer,
  decodeAnnounceAnswer,
  encodeAnnounceAnswer,
  MAX_ANNOUNCE_ANSWER_LENGTH,
} from './announce-answer.ts';
import { MAX_ANNOUNCED_PEERS } from './announced-peer.ts';
import { type BencodeInput, encodeBencode } from './bencode.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const count = fc.nat({ max: 1_000_000 });
const revocation: fc.Arbitrary<Revocation> = fc.record(
  {
    registry: fc.constantFrom('registry.example', '[::1]:5000').map(parseRegistryHost),
    repository: fc.constantFrom('app', 'team/app').map(parseRepository),
    digest: fc.constant(parseDigest(DIGEST)),
    provenBefore: count.map((seconds) => seconds * 1000),
  },
  { requiredKeys: ['registry', 'repository', 'provenBefore'], noNullPrototype: true },
);
const anyAnswer: fc.Arbitrary<AnnounceAnswer> = fc.record(
  {
    intervalMs: fc.integer({ min: 1, max: 86_400 }).map((seconds) => seconds * 1000),
    complete: count,
    incomplete: count,
    peers: fc.array(
      fc.record(
        {
          peerId: fc
            .constantFrom(0, 20)
            .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
            .map((bytes) => Buffer.from(bytes)),
          host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('seeder.example')),
          port: fc.integer({ min: 1, max: 65_535 }),
        },
        { noNullPrototype: true },
      ),
      { maxLength: 5 },
    ),
    deny: fc.record(
      {
        version: count,
        nodeIds: fc.array(fc.constantFrom('node-1', 'a', 'z9').map(parseNodeId), { maxLength: 3 }),
        revocations: fc.array(revocation, { maxLength: 3 }),
      },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['intervalMs', 'complete', 'incomplete', 'peers'], noNullPrototype: true },
);

/** A valid answer but for what `change` says. */
function answer(change: Readonly<Record<string, BencodeInput>> = {}): Buffer {
  const valid: Record<string, BencodeInput> = { interval: 30, complete: 1, incomplete: 2, peers: [] };
  return encodeBencode(new Map(Object.entries({ ...valid, ...change })));
}

function peer(change: Readonly<Record<string, BencodeInput>>): BencodeInput {
  return new Map(Object.entries({ ip: '10.0.0.7', port: 6881, ...change }));
}

test('an answer decodes to itself', () => {
  fc.assert(
    fc.property(anyAnswer, (original) => {
      assert.deepEqual(decodeAnnounceAnswer(encodeAnnounceAnswer(original)), original);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('arbitrary bytes and values give an answer or ANNOUNCE_FAILED', () => {
  const scalar = fc.oneof(
    fc.maxSafeInteger(),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constant([]),
    fc.constant([new Map()]),
    fc.constant(new Map()),
  );
  const keys = fc.constantFrom(
    'interval',
    'complete',
    'peers',
    'peers6',
    'failure reason',
    'sl_deny',
    'sl_deny_version',
    'sl_revoked',
  );
  const changed = fc
    .array(fc.tuple(keys, scalar), { maxLength: 3 })
    .map((entries) => answer(Object.fromEntries(entries)));
  fc.assert(
    fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 100 })), (bytes) => {
      try {
        decodeAnnounceAnswer(bytes);
      } catch (error) {
        if (!isAppError(error, 'ANNOUNCE_FAILED')) throw error;
      }
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('compact peers of both families are read', () => {
  const peers = Buffer.from('0a0000071ae1c0a800010050', 'hex');
  const peers6 = Buffer.from('fd000000000000000000000000000001ffff', 'hex');
  assert.deepEqual(
    decodeAnnounceAnswer(answer({ peers, peers6 })).peers.map(({ host, port }) => [host, port]),
    [
      ['10.0.0.7', 6881],
      ['192.168.0.1', 80],
      ['fd00:0000:0000:0000:0000:0000:0000:0001', 65_535],
    ],
  );
});

test('a peer id that an announce library wrote as UTF-8 is read as the bytes it was', () => {
  const peerId = Buffer.from('2d534c303030312d35971be6e9bb024a895582fe', 'hex');
  const text = peerId.toString('latin1');
  const [read] = decodeAnnounceAnswer(answer({ peers: [peer({ 'peer id': text })] })).peers;
  assert.deepEqual(read?.peerId, peerId);
});

test('the version alone is no deny list', () => {
  assert.equal(decodeAnnounceAnswer(answer({ sl_deny_version: 4 })).deny, undefined);
});

test('an emptied deny list is one', () => {
  assert.deepEqual(decodeAnnounceAnswer(answer({ sl_deny_version: 4, sl_deny: [] })).deny, {
    version: 4,
    nodeIds: [],
    revocations: [],
  });
});

test('keys that we do not know are ignored', () => {
  const bytes = answer({ 'min interval': 5, 'tracker id': 'x', 'warning message': 'slow', __proto__x: 1 });
  assert.equal(decodeAnnounceAnswer(bytes).intervalMs, 30_000);
});

test('the failure reason is passed on, cut and without what looks like a token', () => {
  const token = ['eyJhbGciOiJFUzI1NiJ9', 'eyJzdWIiOiJ4In0', 'c2ln'].join('.');
  const bytes = answer({ 'failure reason': `not authorized: ${token} ${'x'.repeat(5000)}` });
  assert.throws(
    () => decodeAnnounceAnswer(bytes),
    (error: Error) => {
      assert.ok(isAppError(error, 'ANNOUNCE_FAILED'));
      assert.match(error.message, /not authorized/);
      assert.ok(error.message.length < 400 && !error.message.includes(token));
      return true;
    },
  );
});

test('a refusal that brings the deny list is given with it', () => {
  const list = { sl_deny_version: 2, sl_deny: [], sl_revoked: [[7, 'registry.example', 'app', DIGEST]] };
  const { deny, refusal, peers } = decodeAnnounceAnswer(answer({ 'failure reason': 'GRANT_REJECTED: x', ...list }));
  assert.match(refusal?.message ?? '', /GRANT_REJECTED/);
  assert.deepEqual([peers, deny?.revocations[0]?.provenBefore], [[], 7_000]);
});

test('a deny list of ten thousand nodes fits an answer', () => {
  const nodeIds = Array.from({ length: 10_000 }, (_, index) => parseNodeId(`node-${index}`.padEnd(63, 'x')));
  const deny = { version: 1, nodeIds, revocations: [] };
  const bytes = encodeAnnounceAnswer({ intervalMs: 1000, complete: 0, incomplete: 0, peers: [], deny });
  assert.equal(decodeAnnounceAnswer(bytes).deny?.nodeIds.length, 10_000);
});

const refused: readonly (readonly [string, Readonly<Record<string, BencodeInput>>])[] = [
  ['without an interval to wait', { interval: 0 }],
  ['with a negative interval', { interval: -30 }],
  ['with an interval of years', { interval: 100_000_000 }],
  ['with an interval that is text', { interval: '30' }],
  ['with a negative count', { complete: -1 }],
  ['whose peers are a number', { peers: 1 }],
  ['whose peers are a dictionary', { peers: new Map() }],
  ['with compact peers that are cut', { peers: Buffer.alloc(7, 1) }],
  ['with compact peers on port 0', { peers: Buffer.from('0a0000070000', 'hex') }],
  ['with compact IPv6 peers that are cut', { peers6: Buffer.alloc(19, 1) }],
  ['with too many compact peers', { peers: Buffer.alloc(6 * (MAX_ANNOUNCED_PEERS + 1), 1) }],
  ['with too many peers', { peers: Array.from({ length: MAX_ANNOUNCED_PEERS + 1 }, () => peer({})) }],
  [
    'with too many peers in both forms',
    { peers: Buffer.alloc(6 * MAX_ANNOUNCED_PEERS, 1), peers6: Buffer.alloc(18, 1) },
  ],
  ['with a peer that is a list', { peers: [[]] }],
  ['with a peer on port 0', { peers: [peer({ port: 0 })] }],
  ['with a peer on a port above 65535', { peers: [peer({ port: 65_536 })] }],
  ['with a peer whose port is text', { peers: [peer({ port: '80' })] }],
  ['with a peer at no address', { peers: [peer({ ip: '' })] }],
  ['with a peer at an address with a zone', { peers: [peer({ ip: 'fe80::1%eth0' })] }],
  ['with a peer at a URL', { peers: [peer({ ip: 'http://10.0.0.7/' })] }],
  ['with a peer at an address with a line break', { peers: [peer({ ip: '10.0.0.7\n' })] }],
  ['with a peer at a name beyond DNS', { peers: [peer({ ip: 'a'.repeat(300) })] }],
  ['with a peer id of 19 bytes', { peers: [peer({ 'peer id': 'x'.repeat(19) })] }],
  ['with a peer id of 21 bytes', { peers: [peer({ 'peer id': 'x'.repeat(21) })] }],
  ['with a peer id of 20 characters beyond latin1', { peers: [peer({ 'peer id': '€'.repeat(20) })] }],
  ['with a peer id that is a number', { peers: [peer({ 'peer id': 1 })] }],
  ['with a deny list without version', { sl_deny: [] }],
  ['with a deny list that is text', { sl_deny: 'node-1', sl_deny_version: 1 }],
  ['with a denied node id that is none', { sl_deny: ['Node 1'], sl_deny_version: 1 }],
  ['with revocations beside no deny list', { sl_revoked: [], sl_deny_version: 1 }],
  ['with revocations that are text', { sl_deny: [], sl_deny_version: 1, sl_revoked: 'x' }],
  ...(
    [
      ['that is text', 'x'],
      ['of a registry alone', [1, 'registry.example']],
      ['with more than a digest', [1, 'registry.example', 'app', DIGEST, 'x']],
      ['without a moment', ['1', 'registry.example', 'app']],
      ['before all time', [-1, 'registry.example', 'app']],
      ['after all time', [Number.MAX_SAFE_INTEGER, 'registry.example', 'app']],
      ['of a registry that is none', [1, 'registry example', 'app']],
      ['of a repository that is none', [1, 'registry.example', 'App']],
      ['of a digest that is none', [1, 'registry.example', 'app', 'sha256:1']],
      ['of a number', [1, 'registry.example', 7]],
    ] as const
  ).map(
    ([what, revoked]) =>
      [`with a revocation ${what}`, { sl_deny: [], sl_deny_version: 1, sl_revoked: [revoked] }] as const,
  ),
  ['that fails and has a deny list that is none', { 'failure reason': 'x', sl_deny: 'x', sl_deny_version: 1 }],
  ['with a negative deny version', { sl_deny: [], sl_deny_version: -1 }],
  ['that fails without a reason', { 'failure reason': 1 }],
  ['that is longer than the limit', { zz: Buffer.alloc(MAX_ANNOUNCE_ANSWER_LENGTH) }],
];

for (const [what, change] of refused) {
  test(`an answer ${what} is refused`, () => {
    assert.throws(() => decodeAnnounceAnswer(answer(change)), { code: 'ANNOUNCE_FAILED' });
  });
}

for (const [what, text] of [
  ['a list', 'le'],
  ['a page of HTML', '<html></html>'],
  ['a dictionary without interval', 'd5:peerslee'],
] as const) {
  test(`${what} is no answer`, () => {
    assert.throws(() => decodeAnnounceAnswer(Buffer.from(text)), { code: 'ANNOUNCE_FAILED' });
  });
}
