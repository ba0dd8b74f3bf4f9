import { exportPrivateKeyPem, KEY_ALGORITHM, newKeyPair } from './keys.ts';
import { x509 } from './x509.ts';

/** A fresh P-256 key and a signing request that proves its possession and asks for nothing. Touches no disk. */
export async function createSigningRequest(): Promise<{ privateKeyPem: string; csrPem: string }> {
  const keys = await newKeyPair({ isExtractable: true });
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: KEY_ALGORITHM });
  return { privateKeyPem: exportPrivateKeyPem(keys.privateKey), csrPem: `${request.toString('pem')}\n` };
}
