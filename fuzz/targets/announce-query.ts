import { encodeAnnounceQuery } from '@sealift/bittorrent';
import { parseSwarmId, parseZone } from '@sealift/core';
import { parseAnnounceQuery, parseScrapeQuery } from '../../packages/tracker/src/swarm/announce-query.ts';
import { parsePeerAddress } from '../../packages/tracker/src/swarm/peer-address.ts';
import { demand, type Target, textTokens, unlessRefused } from '../target.ts';

/** What stands behind `/announce?` and `/scrape?`. */
export const announceQueryTarget: Target = {
  name: 'announce-query',
  summary: 'the query of an announce (BEP 3) and a scrape (BEP 48)',
  maxLength: 16_384,
  tokens: textTokens(
    ...['info_hash=', '&port=', '&left=', '&event=', 'started', 'stopped', 'completed', 'empty', '&numwant=', '&ip='],
    ...['&zone=', '&deny_version=', '%00', '%', '%zz', '&', '=', '::1', '127.0.0.1', '::ffff:1.2.3.4', '__proto__=1'],
  ),
  generate: (random) => {
    const event = random.pick([undefined, 'started', 'completed', 'stopped'] as const);
    const query = encodeAnnounceQuery({
      ...{
        swarmId: parseSwarmId(random.bytes(20).toString('hex')),
        left: random.length(2 ** 31),
        port: random.below(65_537),
      },
      ...{
        uploaded: random.length(1000),
        downloaded: 0,
        grant: '',
        denyVersion: random.length(9),
        numwant: random.length(99),
      },
      ...(event === undefined ? {} : { event }),
      ...(random.oneIn(2) ? { ip: random.pick(['192.0.2.7', 'fd00::1', '::', '0.0.0.0', 'name.example']) } : {}),
      ...(random.oneIn(2) ? { zone: parseZone('zone-a') } : {}),
    });
    return Buffer.from(query, 'latin1');
  },
  run: (input) => {
    const text = Buffer.from(input).toString('latin1');
    const query = unlessRefused(['INVALID_REQUEST'], () => parseAnnounceQuery(text));
    const scraped = unlessRefused(['INVALID_REQUEST'], () => parseScrapeQuery(text));
    unlessRefused(['INVALID_REQUEST'], () => parsePeerAddress(text));
    if (query === undefined) return;
    demand(scraped === query.swarmId, 'announce and scrape read the same swarm');
    demand(/^[0-9a-f]{40}$/.test(query.swarmId), 'a swarm id is 20 bytes');
    demand(query.port >= 1 && query.port <= 65_535, 'a port is a port');
    demand(Number.isSafeInteger(query.left) && query.left >= 0, 'what is left is a number');
    demand(Number.isSafeInteger(query.wanted) && Number.isSafeInteger(query.denyVersion), 'numbers are numbers');
  },
};
