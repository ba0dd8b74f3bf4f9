/**
 * What docker-compose.yml needs before its registry starts, run once as root: `prepare.ts HOST:PORT UID` makes a
 * certificate for the registry, and gives the user of the node the directories that it writes to.
 */
import { KeyObject, webcrypto } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { x509 } from '@sealift/pki';

const CERTIFICATE = '/tls/registry.crt';
const KEY = '/tls/registry.key';
const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
/** Life of the certificate, in ms: it is made for a try-out. */
const LIFE_MS = 30 * 86_400_000;

const [registry, user] = process.argv.slice(2);
if (registry === undefined || user === undefined) throw new TypeError('usage: prepare.ts HOST:PORT UID');
if (!existsSync(CERTIFICATE)) await makeCertificate(registry.replace(/:\d+$/, ''));
const trust = `/etc/docker/certs.d/${registry}`;
await mkdir(trust, { recursive: true });
await copyFile(CERTIFICATE, `${trust}/ca.crt`);
for (const directory of [trust, '/join']) await chown(directory, Number(user), Number(user));

/** A certificate of its own CA, for one address. */
async function makeCertificate(address: string): Promise<void> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Sealift try-out registry',
    notBefore: new Date(),
    notAfter: new Date(Date.now() + LIFE_MS),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: address }]),
    ],
  });
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  await writeFile(KEY, key, { mode: 0o600 });
  await writeFile(CERTIFICATE, certificate.toString('pem'), { mode: 0o644 });
}
