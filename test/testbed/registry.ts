import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type AccessLogEntry, parseAccessLogLine } from './access-log.ts';
import type { Host } from './host.ts';
import { probe } from './probe.ts';
import type { TokenIssuer } from './registry-token.ts';
import type { Service } from './service.ts';
import type { KeyPair } from './upstream-pki.ts';

/** Where the registry sends clients for tokens, and whom it then believes. */
export interface RegistryAuth {
  readonly realm: string;
  readonly issuer: TokenIssuer;
}

/** Debian's docker-registry (Distribution 2.8) over HTTPS. Its access log is the judge of what left the registry. */
export class Registry {
  readonly host: Host;
  /** `host:port`, as image names have it. */
  readonly name: string;
  readonly service: Service;
  readonly #authority: string;
  readonly #client: KeyPair | undefined;

  private constructor(host: Host, name: string, service: Service, authority: string, client: KeyPair | undefined) {
    this.host = host;
    this.name = name;
    this.service = service;
    this.#authority = authority;
    this.#client = client;
  }

  /**
   * Without `auth` anyone may do anything. `authority` is the file of the CA that signed `tls`. With `client`, a pair of the same
   * CA, only those are heard who show such a one.
   */
  static async start(
    host: Host,
    o: {
      dnsName: string;
      port: number;
      tls: KeyPair;
      authority: string;
      auth?: RegistryAuth;
      client?: KeyPair | undefined;
    },
  ): Promise<Registry> {
    const name = `${o.dnsName}:${o.port}`;
    const data = path.join(host.directory, `registry-${o.port}`);
    await mkdir(data);
    const configuration = {
      version: '0.1',
      log: { level: 'info', accesslog: { disabled: false } },
      storage: { filesystem: { rootdirectory: data } },
      http: {
        addr: `${host.address}:${o.port}`,
        host: `https://${name}`,
        secret: randomBytes(16).toString('hex'),
        tls: { ...o.tls, ...(o.client === undefined ? {} : { clientcas: [o.authority] }) },
      },
      ...(o.auth === undefined ? {} : { auth: { token: tokenSection(o.auth) } }),
    };
    const file = path.join(host.directory, `registry-${o.port}.yml`);
    // JSON is YAML.
    await writeFile(file, JSON.stringify(configuration));
    const service = host.start(`registry-${o.port}`, ['docker-registry', 'serve', file]);
    await service.waitFor('its port', (line) => line.includes('listening on') || undefined);
    return new Registry(host, name, service, o.authority, o.client);
  }

  /** All requests so far. Waits until the log shows what was answered before this call. */
  async requests(): Promise<AccessLogEntry[]> {
    const mark = `/v2/?mark=${randomUUID()}`;
    await probe(this.host, { url: `https://${this.name}${mark}`, trust: [this.#authority], client: this.#client });
    await this.service.waitFor('its log of the mark', (line) => line.includes(mark) || undefined);
    return this.service.lines.map(parseAccessLogLine).filter((entry) => entry !== undefined);
  }
}

function tokenSection({ realm, issuer }: RegistryAuth): object {
  return { realm, service: issuer.service, issuer: issuer.issuer, rootcertbundle: issuer.certificate };
}
