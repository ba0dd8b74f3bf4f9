import assert from 'node:assert/strict';
import { parse } from 'node:querystring';
import { test } from 'node:test';
import { parseNodeId, parseSwarmId } from '@sealift/core';
import fc from 'fast-check';
import { encodeAnnounceExtras, parseDenyVersion } from './announce-extras.ts';
import { type AnnounceRequest, encodeAnnounceQuery } from './announce-request.ts';

const GRANT = 'header.claims.signature';

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const anyRequest: fc.Arbitrary<AnnounceRequest> = fc.record(
  {
    swarmId: fc
      .uint8Array({ minLength: 20, maxLength: 20 })
      .map((bytes) => parseSwarmId(Buffer.from(bytes).toString('hex'))),
    event: fc.constantFrom('started' as const, 'completed' as const, 'stopped' as const),
    left: count,
    uploaded: count,
    downloaded: count,
    port: fc.integer({ min: 1, max: 65_535 }),
    ip: fc.oneof(fc.ipV4(), fc.ipV6()),
    numwant: fc.nat({ max: 100 }),
    grant: fc.constant(GRANT),
    denyVersion: count,
    peerId: fc.uint8Array({ minLength: 20, maxLength: 20 }),
  },
  {
    requiredKeys: ['swarmId', 'left', 'uploaded', 'downloaded', 'port', 'grant', 'denyVersion'],
    noNullPrototype: true,
  },
);

/** Reads a query as trackers do: each escape is one byte, not UTF-8. */
function parseQuery(query: string): ReadonlyMap<string, string> {
  const entries = parse(query, undefined, undefined, { decodeURIComponent: (text) => binaryUnescape(text) });
  return new Map(Object.entries(entries).map(([key, value]) => [key, String(value)]));
}

function binaryUnescape(text: string): string {
  return text.replaceAll(/%[0-9A-F]{2}/g, (octet) => String.fromCharCode(Number.parseInt(octet.slice(1), 16)));
}

test('a tracker reads from the query what was asked', () => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      const query = parseQuery(encodeAnnounceQuery(request));
      assert.equal(Buffer.from(query.get('info_hash') ?? '', 'latin1').toString('hex'), request.swarmId);
      assert.equal(Buffer.from(query.get('peer_id') ?? '', 'latin1').length, 20);
      for (const key of ['left', 'uploaded', 'downloaded', 'port'] as const) {
        assert.equal(query.get(key), String(request[key]));
      }
      for (const key of ['event', 'ip', 'numwant'] as const) assert.equal(query.get(key), request[key]?.toString());
      assert.equal(parseDenyVersion(query.get('deny_version')), request.denyVersion);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('the query is plain ASCII without the grant, whatever the bytes of the swarm id', () => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      const query = encodeAnnounceQuery(request);
      assert.match(query, /^[\w.~%&=-]+$/);
      assert.ok(!query.includes(GRANT) && !query.includes('signature'));
    }),
    { seed: 2, numRuns: 300 },
  );
});

test('a peer id of the caller takes the place of the neutral one', () => {
  const request: AnnounceRequest = {
    swarmId: parseSwarmId('00'.repeat(20)),
    left: 0,
    uploaded: 0,
    downloaded: 0,
    port: 1,
    grant: GRANT,
    denyVersion: 0,
  };
  const peerId = Buffer.alloc(20, 0xfe);
  assert.equal(parseQuery(encodeAnnounceQuery({ ...request, peerId })).get('peer_id'), peerId.toString('latin1'));
  assert.equal(parseQuery(encodeAnnounceQuery(request)).get('peer_id'), '-SL0001-000000000000');
});

test('the deny list goes out only to an asker with another version', () => {
  const deny = { version: 7, nodeIds: [parseNodeId('node-1')], revocations: [] };
  assert.deepEqual(encodeAnnounceExtras(deny, 7), { sl_deny_version: 7 });
  assert.deepEqual(encodeAnnounceExtras(deny, 6), { sl_deny_version: 7, sl_deny: ['node-1'] });
  assert.deepEqual(encodeAnnounceExtras(deny, 8), { sl_deny_version: 7, sl_deny: ['node-1'] });
  // The same object, which the tracker encodes once.
  assert.equal(encodeAnnounceExtras(deny, 8), encodeAnnounceExtras(deny, 6));
});

test('what is not a version counts as none', () => {
  for (const value of [
    undefined,
    '',
    '-1',
    '1.5',
    '0x10',
    '1e3',
    ' 1',
    '1\n',
    '9007199254740992',
    '9'.repeat(17),
    ['1', '2'],
    {},
    3,
  ]) {
    assert.equal(parseDenyVersion(value), 0);
  }
  assert.equal(parseDenyVersion('12'), 12);
});
