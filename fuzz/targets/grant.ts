import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type ClusterId,
  parseClusterId,
  parseDigest,
  parseRegistryHost,
  parseRepository,
  swarmIdOf,
} from '@sealift/core';
import { authorizationExpiry } from '@sealift/registry';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import { type GrantClaims, GrantVerifier, mintGrant } from '@sealift/tracker-api';
import { checkAuthorization } from '../../packages/registry/src/authorization.ts';
import type { SeededRandom } from '../random.ts';
import { demand, type Target, textTokens, unlessRefused, unlessRejected } from '../target.ts';

const clock = new FakeClock();
const clusterId: ClusterId = parseClusterId('test');
const registry = parseRegistryHost('registry.example');
const digest = parseDigest(`sha256:${'0'.repeat(64)}`);
const holder = { nodeId: nodeIdOf('alice'), x5tS256: 'x'.repeat(43) };
const KID = 'grant-key';
const honest: GrantClaims = {
  ...{ clusterId, ...holder, registry, repository: parseRepository('lib/app'), digest },
  ...{ swarmId: swarmIdOf(clusterId, registry, digest), use: 'trade', id: 'one' },
  ...{ authTime: clock.now(), expiresAt: clock.now() + 600_000 },
};
const ours = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = {
  ...(ours.publicKey.export({ format: 'jwk' }) as { x: string; y: string }),
  kty: 'EC',
  crv: 'P-256',
  kid: KID,
} as const;
const verifier = new GrantVerifier({ clusterId, keys: [jwk], clock });

/** How an input becomes a token, by its first byte. */
const SIGNED_BY_US = 0;
const SIGNED_BY_OTHERS = 1;
const SIGNED_BY_PUBLIC_KEY = 2;
const AS_TEXT = 3;
const HEADER_END = 0;

let honestGrant = '';

/** Grants: any text, any header and claims under a signature of ours, of another key, or of a MAC with our public key. */
export const grantTarget: Target = {
  name: 'grant',
  summary: 'the grant a peer shows, and the Authorization header that a node passes on',
  maxLength: 6_000,
  tokens: textTokens(
    ...[
      '"alg":"none"',
      '"alg":"HS256"',
      '"ES256"',
      '"kid":',
      `"${KID}"`,
      '"crit":["exp"]',
      '"jwk":{}',
      '"b64":false',
      '"x5c":[]',
    ],
    ...[
      '"exp":',
      '"iat":',
      '"cnf":{}',
      '"aud":["peers"]',
      '1e400',
      '1.5',
      '-1',
      'null',
      '{}',
      '[]',
      '"__proto__":{}',
      '.',
      '..',
      '=',
    ],
  ),
  start: async () => {
    honestGrant = await mintGrant(honest, { privateKey: ours.privateKey, kid: KID, clock });
  },
  generate: (random) => {
    const [header = '', payload = ''] = honestGrant
      .split('.')
      .map((part) => Buffer.from(part, 'base64url').toString('utf8'));
    const mode = random.below(4);
    const text = mode === AS_TEXT ? honestGrant : `${changed(header, random)}\0${changed(payload, random)}`;
    return Buffer.concat([Buffer.of(mode), Buffer.from(text)]);
  },
  run: async (input) => {
    const token = tokenOf(Buffer.from(input));
    const claims = await unlessRejected(['GRANT_REJECTED'], () => verifier.verify(token, holder));
    const header = unlessRefused(['AUTHORIZATION_INVALID'], () => checkAuthorization(`Bearer ${token}`));
    const expiry = authorizationExpiry(header);
    demand(expiry === undefined || Number.isSafeInteger(expiry), 'the end of a token is a time');
    if (claims === undefined) return;
    demand(claims.nodeId === holder.nodeId && claims.x5tS256 === holder.x5tS256, 'a grant is good for its holder only');
    demand(claims.swarmId === swarmIdOf(clusterId, claims.registry, claims.digest), 'the swarm is that of the blob');
    demand(claims.expiresAt > clock.now(), 'an ended grant is worth nothing');
    if (input[0] !== SIGNED_BY_US) demand(isDeepStrictEqual(claims, honest), 'nobody else can make a grant');
  },
};

function tokenOf(input: Buffer): string {
  const mode = (input[0] ?? 0) & 3;
  const body = input.subarray(1);
  if (mode === AS_TEXT) return body.toString('latin1');
  const at = body.indexOf(HEADER_END);
  const [header, payload] = at === -1 ? [body, Buffer.alloc(0)] : [body.subarray(0, at), body.subarray(at + 1)];
  const signed = `${header.toString('base64url')}.${payload.toString('base64url')}`;
  return `${signed}.${signatureOf(signed, mode).toString('base64url')}`;
}

function signatureOf(text: string, mode: number): Buffer {
  const bytes = Buffer.from(text);
  if (mode === SIGNED_BY_PUBLIC_KEY) {
    // The old confusion of algorithms: a MAC with the key that everybody knows.
    return createHmac('sha256', ours.publicKey.export({ type: 'spki', format: 'pem' }))
      .update(bytes)
      .digest();
  }
  const key: KeyObject = mode === SIGNED_BY_OTHERS ? theirs.privateKey : ours.privateKey;
  return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
}

/** JSON with a member dropped, doubled or of another kind. */
function changed(json: string, random: SeededRandom): string {
  if (json === '' || random.oneIn(3)) return json;
  const members = Object.entries(JSON.parse(json) as Record<string, unknown>);
  const at = random.below(members.length);
  const value = random.pick<unknown>([null, 0, -1, 1e300, 'none', 'HS256', [], {}, '', 'a'.repeat(300), true]);
  const [name] = members[at] ?? ['alg'];
  const rest = members.filter((_, index) => index !== at || random.oneIn(3));
  return `{${[...rest, ...(random.oneIn(3) ? [] : [[name, value] as const])].map(([key, item]) => `${JSON.stringify(key)}:${JSON.stringify(item)}`).join()}}`;
}
