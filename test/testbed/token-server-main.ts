/**
 * `node token-server-main.ts <configuration file>`: the token service of the test registry, spoken to as Docker, containerd
 * and skopeo do (GET with Basic, POST with password or refresh token). It keeps a list of each secret that it gave out, so
 * that tests can look for them where they must not be.
 */
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import { mintRegistryToken, type RepositoryAccess } from './registry-token.ts';
import type { TokenServerConfiguration } from './token-server.ts';

const configuration: TokenServerConfiguration = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
/** Longest form a client may post, in bytes. */
const MAX_FORM_BYTES = 64 * 1024;
const refreshTokens = new Map<string, string>();

const server = createServer(
  { key: readFileSync(configuration.tls.key), cert: readFileSync(configuration.tls.certificate) },
  async (request, response) => {
    const query = new URL(request.url ?? '/', 'https://auth.test').searchParams;
    const form = new URLSearchParams(await readForm(request));
    const user = authenticate(request, form);
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (user === undefined) {
      answer(401, { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] });
      return;
    }
    const scopes = [...query.getAll('scope'), ...form.getAll('scope')].flatMap((scope) => scope.split(' '));
    const expiresIn = configuration.users[user]?.tokenSeconds ?? 300;
    const access = scopes.map((scope) => allowed(user, scope)).filter((item) => item !== undefined);
    const token = mintRegistryToken(configuration.issuer, { subject: user, access, expiresInSeconds: expiresIn });
    keep(token);
    const wantsRefresh = (query.get('offline_token') ?? form.get('offline_token')) === 'true';
    const refresh = wantsRefresh && user !== '' ? { refresh_token: newRefreshToken(user) } : {};
    answer(200, {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: new Date().toISOString(),
      ...refresh,
    });
    process.stdout.write(`token for ${user || 'anonymous'}: ${JSON.stringify(access)}\n`);
  },
);
server.listen(configuration.port, configuration.address, () => process.stdout.write('listening\n'));

/** The user's name, '' for one who names nobody, `undefined` for one who lies. */
function authenticate(request: IncomingMessage, form: URLSearchParams): string | undefined {
  const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (basic !== undefined) {
    const [name = '', ...password] = Buffer.from(basic, 'base64').toString().split(':');
    return configuration.users[name]?.password === password.join(':') ? name : undefined;
  }
  if (form.get('grant_type') === 'refresh_token') return refreshTokens.get(form.get('refresh_token') ?? '');
  if (form.get('grant_type') === 'password') {
    const name = form.get('username') ?? '';
    return configuration.users[name]?.password === form.get('password') ? name : undefined;
  }
  return '';
}

/** What this user gets of the scope asked for: as token services do, the allowed part, without an error for the rest. */
function allowed(user: string, scope: string): RepositoryAccess | undefined {
  const [, repository, asked] = /^repository:([^:]+):([^:]*)$/.exec(scope) ?? [];
  if (repository === undefined || asked === undefined) return undefined;
  const rights = configuration.users[user]?.rights ?? {};
  const held = rights[repository] ?? rights['*'] ?? [];
  const actions = asked.split(',').filter((action) => held.includes(action));
  return actions.length === 0 ? undefined : { repository, actions };
}

function newRefreshToken(user: string): string {
  const token = randomBytes(24).toString('base64url');
  refreshTokens.set(token, user);
  keep(token);
  return token;
}

function keep(secret: string): void {
  appendFileSync(configuration.issuedFile, `${secret}\n`, { mode: 0o600 });
}

async function readForm(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > MAX_FORM_BYTES) throw new Error('the form is too long');
  }
  return text;
}
