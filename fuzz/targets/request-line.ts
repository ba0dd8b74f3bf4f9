import { parseBlobPath } from '@sealift/registry';
import { parseConnectTarget } from '../../packages/proxy/src/connect-target.ts';
import { parseRequestTarget, splitNamespace } from '../../packages/proxy/src/request-target.ts';
import { demand, type Target, textTokens, unlessRefused } from '../target.ts';

const MAX_TARGET_LENGTH = 300;
const DIGEST = `sha256:${'a'.repeat(64)}`;

/** What a local program writes into a request line: the target of CONNECT, a path or an address, the blob in it. */
export const requestLineTarget: Target = {
  name: 'request-line',
  summary: 'the CONNECT line, the target of an inner request, the path of a blob',
  maxLength: 9_000,
  tokens: textTokens(
    ...[
      'registry.example',
      ':443',
      ':5000',
      '[::1]',
      '[',
      ']',
      'http://',
      'https://',
      '/v2/',
      '/blobs/',
      DIGEST,
      'lib/app',
    ],
    ...['?ns=', '&ns=', '%2e', '%2F', '..', '//', '@', '#', '?', ' ', '0x7f000001', '127.1', '::ffff:7f00:1', '\u212a'],
  ),
  generate: (random) => {
    const host = random.pick(['registry.example', 'localhost', '192.0.2.1', '[2001:db8::1]', 'a_b.example', 'EXAMPLE']);
    const authority = `${host}${random.pick(['', ':443', ':5000', ':0', ':65536'])}`;
    const name = Array.from({ length: 1 + random.below(3) }, () =>
      random.pick(['lib', 'app', 'a-b', 'a..b', 'A', 'x_y']),
    ).join('/');
    const path = `/v2/${name}/${random.pick(['blobs', 'manifests'])}/${random.pick([DIGEST, 'latest', DIGEST.slice(1)])}`;
    const query = random.pick(['', `?ns=${authority}`, `?ns=${authority}&ns=x`, '?a=b&ns=%zz', '?x']);
    const text = random.pick([authority, `${path}${query}`, `https://${authority}${path}${query}`, path]);
    return Buffer.from(text, 'utf8');
  },
  run: (input) => {
    const text = Buffer.from(input).toString('latin1');
    tryConnect(text);
    tryTarget(text);
    const split = splitNamespace(text);
    if (split?.ns === undefined) demand(split === undefined || split.path === text, 'a path without ns stays as it is');
    const blob = parseBlobPath(text);
    if (blob !== undefined) {
      demand(text === `/v2/${blob.repository}/blobs/${blob.digest}`, 'a blob path has one spelling');
    }
  },
};

function tryConnect(text: string): void {
  const limit = { maxLength: MAX_TARGET_LENGTH };
  const target = unlessRefused(['CONNECT_TARGET_INVALID'], () => parseConnectTarget(text, limit));
  if (target === undefined) return;
  const { hostname, port, registry } = target;
  demand(/^[a-z0-9._:-]+$/.test(hostname), 'a host name holds nothing that another reader could take for more');
  demand(port >= 1 && port <= 65_535, 'a port is a port');
  const spelled = `${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`;
  const again = parseConnectTarget(spelled, limit);
  demand(
    again.registry === registry && again.hostname === hostname && again.port === port,
    'a target has one normal form',
  );
}

function tryTarget(text: string): void {
  const target = parseRequestTarget(text);
  if (target.kind === 'other') return;
  demand(!target.path.includes('#') && target.path.startsWith('/'), 'a path begins with a slash and has no fragment');
  if (target.kind === 'absolute') demand(/^[a-z0-9._:-]+$/.test(target.hostname), 'an address names one plain host');
}
