import { AppError, ERROR_CODES, parseClusterId, parseNodeId, silentLogger, systemClock } from '@sealift/core';
import { createLoopbackCertificate } from '@sealift/testkit';
import { TRACKER_PATHS } from '@sealift/tracker-api';
import { resolveConfig } from '../../packages/tracker/src/config.ts';
import { type App, createApp } from '../../packages/tracker/src/http/app.ts';
import { registerJoinRoute } from '../../packages/tracker/src/routes/join-route.ts';
import type { SeededRandom } from '../random.ts';
import { demand, type Target, textTokens } from '../target.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const CSR = '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n';
/** Bits of the first byte of an input. */
const IS_NODE = 1;
const IS_OTHER_TYPE = 2;

type Needs = Parameters<typeof registerJoinRoute>[1];

/** The last thing that went wrong inside, for the route hides it from whoever asks. */
let fault: unknown;
let isNode = false;
let app: App;

/** The body of a join, in the real route with its schema; the registry behind it says yes to everything. */
export const joinBodyTarget: Target = {
  name: 'join-body',
  summary: 'the body of a join at the tracker',
  maxLength: 70_000,
  tokens: textTokens(
    ...[
      '"registry":',
      '"repository":',
      '"digest":',
      '"authorization":',
      '"intent":',
      '"csr":',
      '"name":',
      '"pull"',
      '"check"',
    ],
    ...[
      'null',
      '{}',
      '[]',
      '1e999',
      '"__proto__":{}',
      '"constructor":{"prototype":{}}',
      '\\u0000',
      '\\ud800',
      '\r\n',
      DIGEST,
      '"',
    ],
  ),
  start: async () => {
    const error = (_event: string, fields?: { error?: unknown }): void => {
      fault = fields?.error ?? 'a fault without an error';
    };
    const log = { ...silentLogger, error };
    const config = { clusterId: parseClusterId('test'), listen: { host: '127.0.0.1', port: 0 } };
    const { certificatePem, privateKeyPem } = await createLoopbackCertificate();
    const tls = { certificatePem, privateKeyPem, trustAnchors: certificatePem };
    app = await createApp({ tls, limits: resolveConfig(config).limits, clock: systemClock, log });
    registerJoinRoute(app, servicesThatSayYes());
    await app.ready();
  },
  generate: (random) => Buffer.concat([Buffer.of(random.below(4)), Buffer.from(JSON.stringify(anyJoin(random)))]),
  run: async (input) => {
    const flags = input[0] ?? 0;
    isNode = (flags & IS_NODE) !== 0;
    fault = undefined;
    const type = (flags & IS_OTHER_TYPE) !== 0 && input.length % 3 === 0 ? 'text/plain' : 'application/json';
    const payload = Buffer.from(input.subarray(1));
    const answer = await app.inject({
      method: 'POST',
      url: TRACKER_PATHS.join,
      headers: { 'content-type': type },
      payload,
    });
    if (fault !== undefined) throw fault;
    demand(
      answer.statusCode === 200 || (answer.statusCode >= 400 && answer.statusCode < 500),
      'an answer or a refusal',
    );
    const body = JSON.parse(answer.body) as { code?: string; verdict?: string };
    if (answer.statusCode === 200) demand(body.verdict === 'granted', 'the registry has said yes');
    else demand(body.code !== undefined && body.code in ERROR_CODES, 'a refusal has a code of the list');
  },
};

function anyJoin(random: SeededRandom): Record<string, unknown> {
  const join: Record<string, unknown> = {};
  const put = (name: string, ...values: readonly unknown[]): void => {
    if (!random.oneIn(7))
      join[name] = random.oneIn(15)
        ? random.pick<unknown>([null, 1, [], {}, '', 'x'.repeat(random.length(9_000))])
        : random.pick(values);
  };
  put('registry', 'registry.example', 'registry.example:5000', '[::1]:5000', 'REGISTRY', '-');
  put('repository', 'lib/app', 'a', 'A/b', 'a//b', '../a');
  put('digest', DIGEST, DIGEST.toUpperCase(), DIGEST.slice(1), 'sha512:00');
  put('intent', 'pull', 'check');
  if (random.oneIn(2)) put('authorization', 'Bearer a.b.c', 'Basic Og==', 'Bearer a\r\nx: y', '\u00e9');
  if (random.oneIn(2)) put('csr', CSR, 'x');
  if (random.oneIn(3)) put('name', 'host-1', '-', 'a b');
  if (random.oneIn(9)) put('more', 1);
  return join;
}

/** What the route needs, without a database, a registry or a socket. */
function servicesThatSayYes(): Needs {
  const nodeId = parseNodeId('node-1');
  const known = { id: nodeId, x5tS256: 'x'.repeat(43) };
  const services = {
    config: { registryToken: true },
    state: { clusterId: 'test' },
    authority: {
      grantJoin: async () => ({ grant: 'a.b.c', claims: { swarmId: '0'.repeat(40), expiresAt: 1 } }),
      enrolNode: async () => {
        throw new AppError('CSR_REJECTED');
      },
    },
    authorizer: { decide: async () => ({ kind: 'granted', by: 'registry', provenAt: 1, size: 1 }) },
    seeder: { offer: async () => ({ kind: 'none', reason: 'nothing here' }) },
    identity: { find: () => (isNode ? known : undefined), demand: () => known },
    throttle: { node: () => {}, stranger: () => {} },
    counters: { add: () => {} },
    audit: { record: () => {} },
    log: silentLogger,
  };
  // A part that the route comes to need and that is not here shows at once: no input gets a yes any more.
  return services as unknown as Needs;
}
