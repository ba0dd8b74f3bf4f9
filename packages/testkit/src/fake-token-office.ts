import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseRepository, type Repository } from '@sealift/core';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

/** What a credential opens. */
export interface FakeRight {
  readonly subject: string;
  readonly repositories: ReadonlySet<string>;
  /** End of the credential, in ms since the epoch. */
  readonly expiresAt: number;
}

/** A token to be made by {@link FakeTokenOffice.issue}. */
export interface FakeTokenRequest {
  readonly repositories: readonly string[];
  /** @default 'alice' */
  readonly subject?: string;
  /** Life in seconds; negative for one that has ended. @default 300 */
  readonly lifeSeconds?: number;
  /** A JWT like that of `distribution`, or a random string as GHCR's. @default 'jwt' */
  readonly form?: 'jwt' | 'opaque';
  /** Whether a JWT only names its key or carries it. @default 'kid' */
  readonly key?: 'kid' | 'jwk';
}

/** The users and tokens of a fake registry. It knows each token that it made, and verifies no signature. */
export class FakeTokenOffice {
  readonly service = 'fake-registry';
  readonly issuer = 'fake-token-office';
  readonly #users = new Map<string, { password: string; repositories: ReadonlySet<string> }>();
  readonly #publicRepositories = new Set<string>();
  readonly #tokens = new Map<string, FakeRight>();
  #keys: Promise<{ privateKey: CryptoKey; publicJwk: JWK & { kid: string } }> | undefined;
  /** Tokens given out by the realm so far. */
  tokensServed = 0;

  /** Lets a user pull from `repositories`, with Basic at the registry or through the token realm. */
  addUser(username: string, password: string, repositories: readonly string[]): void {
    this.#users.set(username, { password, repositories: new Set(repositories) });
  }

  /** Lets anonymous tokens pull from `repository`. */
  addPublicRepository(repository: string): void {
    this.#publicRepositories.add(repository);
  }

  /** A new token; for a header, put `Bearer ` before it. */
  async issue(request: FakeTokenRequest): Promise<string> {
    const { repositories, subject = 'alice', lifeSeconds = 300, form = 'jwt', key = 'kid' } = request;
    const now = Math.floor(Date.now() / 1000);
    const token =
      form === 'opaque'
        ? randomBytes(24).toString('base64url')
        : await this.#sign({ repositories, subject, issuedAt: now, expiresAt: now + lifeSeconds, key });
    this.#tokens.set(token, {
      subject,
      repositories: new Set(repositories),
      expiresAt: (now + lifeSeconds) * 1000,
    });
    return token;
  }

  /** Makes a token worthless before its time. */
  revoke(token: string): void {
    this.#tokens.delete(token);
  }

  /** The key that signs the JWTs, for a JWKS. Its `kid` is the RFC 7638 thumbprint. */
  async publicJwk(): Promise<JWK & { kid: string }> {
    return (await this.#keyPair()).publicJwk;
  }

  /** The right of an Authorization header; `undefined` if it is worth nothing here. */
  rightOf(authorization: string | undefined, scheme: 'basic' | 'bearer'): FakeRight | undefined {
    const [name = '', value = ''] = (authorization ?? '').split(' ');
    if (name.toLowerCase() !== scheme) return undefined;
    if (scheme === 'basic') return this.#login(value);
    const right = this.#tokens.get(value);
    return right !== undefined && right.expiresAt > Date.now() ? right : undefined;
  }

  /** The token realm: GET with Basic or nothing, POST with a password form, as clients of Docker ask. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://realm.invalid');
    let fields = url.searchParams;
    let user = this.rightOf(request.headers.authorization, 'basic');
    let isLogin = request.headers.authorization !== undefined;
    if (request.method === 'POST') {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      fields = new URLSearchParams(Buffer.concat(parts).toString('utf8'));
      isLogin = true;
      const pair = `${fields.get('username')}:${fields.get('password')}`;
      user = this.#login(Buffer.from(pair, 'utf8').toString('base64'));
    }
    if (isLogin && user === undefined) {
      sendJson(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] });
      return;
    }
    const asked = fields.getAll('scope').flatMap((scope) => scope.split(' '));
    const wanted = asked.map(
      (scope) => /^repository:(?<name>[^:]+):(?:.*,)?pull(?:,.*)?$/.exec(scope)?.groups?.['name'],
    );
    const repositories = wanted.filter((name): name is string => name !== undefined && this.#mayPull(name, user));
    const token = await this.issue({ repositories, subject: user?.subject ?? '' });
    this.tokensServed += 1;
    const answer = { token, access_token: token, expires_in: 300, issued_at: new Date().toISOString() };
    sendJson(response, 200, answer);
  }

  #mayPull(repository: string, user: FakeRight | undefined): boolean {
    return this.#publicRepositories.has(repository) || user?.repositories.has(repository) === true;
  }

  #login(encoded: string): FakeRight | undefined {
    const [username = '', ...rest] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
    const user = this.#users.get(username);
    if (user === undefined || user.password !== rest.join(':')) return undefined;
    return { subject: username, repositories: user.repositories, expiresAt: Number.POSITIVE_INFINITY };
  }

  async #sign(claims: {
    repositories: readonly string[];
    subject: string;
    issuedAt: number;
    expiresAt: number;
    key: 'kid' | 'jwk';
  }): Promise<string> {
    const { privateKey, publicJwk } = await this.#keyPair();
    const { kid, kty, crv, x, y } = publicJwk;
    const named = claims.key === 'kid' ? { kid } : { jwk: { kty, crv, x, y } as JWK };
    const names: readonly Repository[] = claims.repositories.map(parseRepository);
    return await new SignJWT({ access: names.map((name) => ({ type: 'repository', name, actions: ['pull'] })) })
      .setProtectedHeader({ typ: 'JWT', alg: 'ES256', ...named })
      .setIssuer(this.issuer)
      .setSubject(claims.subject)
      .setAudience(this.service)
      .setIssuedAt(claims.issuedAt)
      .setNotBefore(claims.issuedAt - 5)
      .setExpirationTime(claims.expiresAt)
      .setJti(randomBytes(9).toString('base64url'))
      .sign(privateKey);
  }

  #keyPair(): Promise<{ privateKey: CryptoKey; publicJwk: JWK & { kid: string } }> {
    this.#keys ??= newKeyPair();
    return this.#keys;
  }
}

async function newKeyPair(): Promise<{ privateKey: CryptoKey; publicJwk: JWK & { kid: string } }> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  return { privateKey, publicJwk: { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: 'ES256', use: 'sig' } };
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
