import { checkCsr } from '@sealift/pki';
import { buildCsr } from '@sealift/testkit';
import { demand, type Target, textTokens, unlessRejected } from '../target.ts';

const HEAD = '-----BEGIN CERTIFICATE REQUEST-----\n';
const FOOT = '-----END CERTIFICATE REQUEST-----\n';
/** The first byte of an input: whether the rest is the text itself or DER to be put into PEM. */
const AS_TEXT = 1;

const requests: Buffer[] = [];

/** Signing requests, honest ones and those of the hostile cast, changed in their DER and in their PEM. */
export const csrTarget: Target = {
  name: 'csr',
  summary: 'the signing request of an enrolment, a renewal or a join',
  maxLength: 6_000,
  tokens: [
    ...textTokens(HEAD, FOOT, '\n', '\r\n', '='),
    ...[
      '3000',
      '3080',
      '0500',
      '0603551d11',
      '06082a8648ce3d030107',
      '06072a8648ce3d0201',
      '06082a8648ce3d040302',
      '30848fffffff',
    ].map((hex) => Buffer.from(hex, 'hex')),
  ],
  start: async () => {
    const changes = [
      ...[{}, { commonName: 'x' }, { keyType: 'p-384' }, { hash: 'SHA-384' }, { dnsNames: ['a.example'] }],
      ...[{ uris: ['spiffe://a/node/b'] }, { isCa: true }, { challengePassword: 'x' }, { signedByOtherKey: true }],
      { keyType: 'rsa-2048' },
    ] as const;
    for (const change of changes) requests.push(derOf(await buildCsr(change)));
  },
  generate: (random) => {
    const der = random.pick(requests);
    return random.oneIn(8)
      ? Buffer.concat([Buffer.of(AS_TEXT), Buffer.from(pemOf(der))])
      : Buffer.concat([Buffer.of(0), der]);
  },
  run: async (input) => {
    const bytes = Buffer.from(input);
    const body = bytes.subarray(1);
    const pem = bytes[0] === AS_TEXT ? body.toString('latin1') : pemOf(body);
    const checked = await unlessRejected(['CSR_REJECTED'], () => checkCsr(pem));
    if (checked === undefined) return;
    const { algorithm, type } = checked.takePublicKey();
    demand(type === 'public' && algorithm.name === 'ECDSA', 'what passes is a public ECDSA key');
    demand((algorithm as { namedCurve?: string }).namedCurve === 'P-256', 'what passes is a key on P-256');
  },
};

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `${HEAD}${lines.map((line) => `${line}\n`).join('')}${FOOT}`;
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64');
}
