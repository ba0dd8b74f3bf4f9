import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { AppError, parseRegistryHost, parseRepository, silentLogger } from '@sealift/core';
import { isTrustedChain, x509 } from '@sealift/pki';
import { FakeClock } from '@sealift/testkit';
import { type JWTHeaderParameters, SignJWT } from 'jose';
import { type RegistryTokenConfig, RegistryTokens } from './registry-tokens.ts';
import { type SigningKey, signingKey } from './signing-key.ts';

export const registry = parseRegistryHost('registry.example');
export const repository = parseRepository('team/app');
export const SERVICE = 'registry.example';
export const BLOB_PATH = `/v2/${repository}/blobs/sha256:${'a'.repeat(64)}`;

/** The kinds of key that issuers have. */
export const NEW_KEY = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync('ed25519'),
} as const;

/** Somebody who signs tokens. Its key lives as long as the test. */
export class TestIssuer {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly #algorithm: string;

  constructor(kind: keyof typeof NEW_KEY = 'ES256', algorithm: string = kind) {
    ({ privateKey: this.privateKey, publicKey: this.publicKey } = NEW_KEY[kind]());
    this.#algorithm = algorithm;
  }

  get key(): SigningKey {
    const key = signingKey(this.publicKey);
    if (key === undefined) throw new Error('the test made a key that is not fit');
    return key;
  }

  get pem(): string {
    return this.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  }

  get jwk(): object {
    return this.publicKey.export({ format: 'jwk' });
  }

  /** `kid` as `distribution` 2.8 wants it. */
  get libtrustId(): string {
    return [...this.key.ids].find((id) => id.includes(':')) ?? '';
  }

  /** `kid` as `distribution` 3 wants it. */
  get thumbprint(): string {
    return [...this.key.ids].find((id) => !id.includes(':')) ?? '';
  }

  /** A certificate for its key, signed by itself or by another; base64, as in `x5c`. */
  async x5c({ by = this as TestIssuer, isCa = false } = {}): Promise<string> {
    return (await this.certificate({ by, isCa })).raw.toString('base64');
  }

  async certificate({ by = this as TestIssuer, isCa = false } = {}): Promise<X509Certificate> {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
    const made = await x509.X509CertificateGenerator.create({
      subject: `CN=${this.thumbprint}`,
      issuer: `CN=${by.thumbprint}`,
      publicKey: this.publicKey.toCryptoKey(algorithm, true, ['verify']),
      signingKey: by.privateKey.toCryptoKey(algorithm, true, ['sign']),
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 86_400_000),
      notAfter: new Date(Date.now() + 86_400_000),
      extensions: [new x509.BasicConstraintsExtension(isCa, undefined, true)],
    });
    return new X509Certificate(Buffer.from(made.rawData));
  }

  /** A token that is good for pulling `team/app`, but for what a test changes; `undefined` leaves a claim out. */
  async token(header: Record<string, unknown> = {}, claims: Record<string, unknown> = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const access = [{ type: 'repository', name: repository, actions: ['pull'] }];
    const body = {
      iss: 'issuer',
      sub: 'alice',
      aud: SERVICE,
      access,
      iat: now,
      nbf: now - 5,
      exp: now + 300,
      ...claims,
    };
    const fields = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
    const head = { typ: 'JWT', alg: this.#algorithm, ...header } as JWTHeaderParameters;
    return await new SignJWT(fields).setProtectedHeader(head).sign(this.privateKey);
  }
}

/** A registry as far as a proof sees it: what it says to which token at which path. */
export class TestRegistry {
  /** Every request so far: path, and whether it carried a token. */
  readonly asked: string[] = [];
  isAway = false;
  accepts: (token: string | undefined, path: string) => boolean;

  constructor(accepts: (token: string | undefined, path: string) => boolean = () => false) {
    this.accepts = accepts;
  }

  async probe({ path }: { path: string }, { authorization }: { authorization: string | undefined }) {
    const token = authorization?.slice('Bearer '.length);
    this.asked.push(`${path}${token === undefined ? '' : ' with a token'}`);
    if (this.isAway) throw new AppError('REGISTRY_UNAVAILABLE');
    return this.accepts(token, path) ? { status: 200, service: undefined } : { status: 401, service: SERVICE };
  }
}

/** A judge of tokens, and all around it. */
export function scene({
  prober = new TestRegistry(),
  ...config
}: { prober?: TestRegistry } & Partial<RegistryTokenConfig> = {}) {
  const clock = new FakeClock(Date.now());
  const tokens = new RegistryTokens({
    registries: [{ registry }],
    tokens: [{ registry, keySets: [], keyUrls: [], ...config }],
    prober,
    verifyChain: isTrustedChain,
    clock,
    log: silentLogger,
  });
  const verify = (token: string) => tokens.verify(token, { registry, repository });
  const learn = async (token: string, path = BLOB_PATH) => {
    tokens.accepted(`Bearer ${token}`, { registry, repository, path });
    await tokens.settled();
  };
  return { tokens, prober, clock, verify, learn };
}
