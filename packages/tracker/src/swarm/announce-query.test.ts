import assert from 'node:assert/strict';
import querystring from 'node:querystring';
import { test } from 'node:test';
import { encodeAnnounceQuery } from '@sealift/bittorrent';
import { AppError, parseSwarmId } from '@sealift/core';
import fc from 'fast-check';
import { parseAnnounceQuery, parseScrapeQuery } from './announce-query.ts';

const hex = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex'));

test('what our client writes is what we read', () => {
  fc.assert(
    fc.property(hex, fc.nat(), fc.integer({ min: 1, max: 65_535 }), fc.nat(), (infoHash, left, port, denyVersion) => {
      const swarmId = parseSwarmId(infoHash);
      const query = encodeAnnounceQuery({ swarmId, left, port, denyVersion, uploaded: 1, downloaded: 2, grant: 'g' });
      assert.deepEqual(parseAnnounceQuery(query), {
        swarmId,
        event: undefined,
        left,
        port,
        ip: undefined,
        zone: undefined,
        wanted: 50,
        denyVersion,
        isCompact: false,
      });
      assert.equal(parseScrapeQuery(query), swarmId);
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('escapes are read as bytes in either case, and what is no escape stands as it is', () => {
  const bytes = Array.from({ length: 18 }, (_, index) => `%${(0xa0 + index).toString(16)}`);
  const query = `info_hash=${bytes.join('')}%FF%`;
  assert.equal(
    parseScrapeQuery(query),
    `${bytes.map((encoded) => encoded.slice(1)).join('')}ff${Buffer.from('%').toString('hex')}`,
  );
});

test('what is escaped is read as forms are, names as well as values', () => {
  const byte = fc.constantFrom('%41', '%fF', '%', '+', '=', 'i', 'é');
  fc.assert(
    fc.property(fc.array(byte, { minLength: 20, maxLength: 20 }), (bytes) => {
      const [expected] = Object.values(
        querystring.parse(`x=${bytes.join('')}`, '&', '=', { decodeURIComponent: unescape }),
      );
      assert.equal(
        parseScrapeQuery(`%69nfo_hash=${bytes.join('')}`),
        Buffer.from(String(expected), 'latin1').toString('hex'),
      );
    }),
    { seed: 9, numRuns: 300 },
  );
});

test('peers as bytes are for clients that ask for them', () => {
  assert.equal(parseAnnounceQuery(`${good}&compact=1`).isCompact, true);
  assert.equal(parseAnnounceQuery(`${good}&compact=0`).isCompact, false);
});

const good = `info_hash=${'%ff'.repeat(20)}&port=1&left=0`;
const refused = [
  '',
  'port=1&left=0',
  `info_hash=${'%ff'.repeat(19)}&port=1&left=0`,
  `info_hash=${'%ff'.repeat(21)}&port=1&left=0`,
  `${good}&info_hash=${'%00'.repeat(20)}`,
  `${good}&port=2`,
  good.replace('port=1', 'port=0'),
  good.replace('port=1', 'port=65536'),
  good.replace('port=1', 'port=1e3'),
  good.replace('port=1', 'port=-1'),
  good.replace('left=0', 'left=NaN'),
  good.replace('left=0', 'left=99999999999999999'),
  good.replace('left=0', 'x=0'),
  `${good}&event=paused`,
  `${good}&ip=registry.example`,
  `${good}&numwant=-1`,
  `${good}&deny_version=x`,
  `${good}&zone=`,
  `${good}&zone=a.b`,
  `${good}&zone=${'a'.repeat(64)}`,
];
for (const query of refused) {
  test(`the announce "${query.replaceAll('%ff', '')}" is refused`, () => {
    assert.throws(() => parseAnnounceQuery(query), { code: 'INVALID_REQUEST' });
  });
}

test('any text is read or refused with our error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webQueryParameters()), (query) => {
      try {
        parseAnnounceQuery(query);
      } catch (error) {
        assert.ok(error instanceof AppError);
      }
    }),
    { seed: 6, numRuns: 500 },
  );
});
