import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Host } from './host.ts';
import type { TokenIssuer } from './registry-token.ts';
import type { Service } from './service.ts';
import type { KeyPair } from './upstream-pki.ts';

/** A user of the test registry. */
export interface RegistryUser {
  readonly password: string;
  /** Actions by repository; `*` stands for any repository that is not named. */
  readonly rights: Readonly<Record<string, readonly string[]>>;
  /** Life of this user's tokens, in seconds. @default 300 */
  readonly tokenSeconds?: number;
}

/** What the server's process reads at its start. */
export interface TokenServerConfiguration {
  readonly address: string;
  readonly port: number;
  readonly tls: KeyPair;
  readonly issuer: TokenIssuer;
  readonly users: Readonly<Record<string, RegistryUser>>;
  /** Gets each token given out, a line each. */
  readonly issuedFile: string;
}

/** The registry's token service, in a process of its own on a host of the testbed. */
export class TokenServer {
  readonly service: Service;
  readonly users: Readonly<Record<string, RegistryUser>>;
  readonly #issuedFile: string;

  private constructor(service: Service, configuration: TokenServerConfiguration) {
    this.service = service;
    this.users = configuration.users;
    this.#issuedFile = configuration.issuedFile;
  }

  static async start(
    host: Host,
    o: {
      port: number;
      tls: KeyPair;
      issuer: TokenIssuer;
      rights: Readonly<Record<string, RegistryUser['rights']>>;
    },
  ): Promise<TokenServer> {
    const { rights, ...rest } = o;
    const users = Object.fromEntries(
      Object.entries(rights).map(([name, held]) => [
        name,
        { password: randomBytes(18).toString('base64url'), rights: held },
      ]),
    );
    const issuedFile = path.join(host.directory, 'issued-tokens');
    await writeFile(issuedFile, '', { mode: 0o600 });
    const configuration: TokenServerConfiguration = { ...rest, address: host.address, users, issuedFile };
    const file = path.join(host.directory, 'token-server.json');
    await writeFile(file, JSON.stringify(configuration), { mode: 0o600 });
    const main = path.join(import.meta.dirname, 'token-server-main.ts');
    const service = host.start('token-server', [process.execPath, main, file]);
    await service.waitFor('its port', (line) => line === 'listening' || undefined);
    return new TokenServer(service, configuration);
  }

  user(name: string): RegistryUser {
    const user = this.users[name];
    if (user === undefined) throw new Error(`there is no user ${name}`);
    return user;
  }

  /** Passwords and all tokens given out so far. */
  async secrets(): Promise<string[]> {
    const issued = (await readFile(this.#issuedFile, 'utf8')).split('\n').filter((line) => line !== '');
    return [...Object.values(this.users).map(({ password }) => password), ...issued];
  }
}
