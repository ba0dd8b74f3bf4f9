import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { errnoOf, refuse } from './failure.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The certificates in a PEM text, one by one, not looked into. */
export function certificatesIn(text: string): readonly string[] {
  return text.match(CERTIFICATE) ?? [];
}

/** Reads the certificates of a PEM file; throws `CONFIG_INVALID` that names `setting` if it has none, or a broken one. */
export async function readCertificateFile(setting: string, path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: unknown) =>
    refuse(setting, `cannot read ${path} (${errnoOf(error)})`, error),
  );
  const certificates = certificatesIn(text);
  if (certificates.length === 0) refuse(setting, `${path} holds no certificate in PEM`);
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (error) {
    refuse(setting, `${path} holds a broken certificate`, error);
  }
  return text;
}
