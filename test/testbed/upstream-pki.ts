import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** `openssl req` arguments for a P-256 key without a passphrase: these keys live as long as the testbed. */
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Paths of a certificate and its key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority of the outside world, made with openssl so that our own PKI code is not its own judge. */
export class UpstreamAuthority {
  readonly certificate: string;
  readonly #directory: string;
  readonly #key: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.certificate = path.join(directory, 'ca.crt');
    this.#key = path.join(directory, 'ca.key');
  }

  static async create(directory: string, commonName: string): Promise<UpstreamAuthority> {
    await mkdir(directory, { recursive: true });
    const authority = new UpstreamAuthority(directory);
    await selfSign(commonName, { certificate: authority.certificate, key: authority.#key });
    return authority;
  }

  /** A certificate for these DNS names and addresses, for a server unless it is said otherwise. */
  async issue(
    name: string,
    {
      dnsNames,
      addresses,
      usage = 'serverAuth',
    }: { dnsNames: readonly string[]; addresses: readonly string[]; usage?: 'serverAuth' | 'clientAuth' },
  ) {
    const at = (suffix: string) => path.join(this.#directory, `${name}.${suffix}`);
    const names = [...dnsNames.map((dns) => `DNS:${dns}`), ...addresses.map((address) => `IP:${address}`)];
    await writeFile(at('ext'), `subjectAltName=${names.join(',')}\nextendedKeyUsage=${usage}\n`);
    await openssl(['req', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('csr')]);
    const issuer = ['-CA', this.certificate, '-CAkey', this.#key, '-CAcreateserial'];
    await openssl([
      'x509',
      '-req',
      '-in',
      at('csr'),
      ...issuer,
      '-days',
      '2',
      '-extfile',
      at('ext'),
      '-out',
      at('crt'),
    ]);
    return { certificate: at('crt'), key: at('key') } satisfies KeyPair;
  }
}

/** A key with a certificate signed by itself, for two days. */
export async function selfSign(commonName: string, { certificate, key }: KeyPair): Promise<void> {
  const files = ['-keyout', key, '-out', certificate];
  await openssl(['req', '-x509', ...NEW_KEY, '-days', '2', '-subj', `/CN=${commonName}`, ...files]);
}

async function openssl(args: readonly string[]): Promise<void> {
  await run('openssl', args);
}
