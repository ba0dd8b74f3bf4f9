import { webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { x509 } from '@sealift/pki';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const TTL_MS = 24 * 3_600_000;

/** Files of one side of an SSL torrent: libtorrent takes paths only. */
export interface SslTorrentMember {
  readonly certificate: string;
  readonly key: string;
}

/** A CA for SSL torrents and two members, written to `directory`. Their certificates are good for every torrent of the CA. */
export async function createSslTorrentCa(
  directory: string,
): Promise<{ caPem: string; seeder: SslTorrentMember; leecher: SslTorrentMember }> {
  const keys = await newKeys();
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + TTL_MS) };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['bench torrent CA'] }],
    keys,
    signingAlgorithm: P256,
    ...validity,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const member = async (name: string): Promise<SslTorrentMember> => {
    const own = await newKeys();
    const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
    const leaf = await x509.X509CertificateGenerator.create({
      subject: [{ CN: [name] }],
      issuer: ca.subjectName,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: P256,
      ...validity,
      extensions: [
        new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth]),
        // libtorrent compares the name of the torrent with the DNS names of a certificate; the star is good for all.
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: '*' }]),
      ],
    });
    const files = { certificate: path.join(directory, `${name}.crt`), key: path.join(directory, `${name}.key`) };
    await writeFile(files.certificate, leaf.toString('pem'));
    await writeFile(files.key, await privateKeyPem(own.privateKey), { mode: 0o600 });
    return files;
  };
  return { caPem: ca.toString('pem'), seeder: await member('seeder'), leecher: await member('leecher') };
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}
