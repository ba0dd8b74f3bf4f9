import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, isAppError } from '@sealift/core';
import {
  DockerCa,
  decryptPrivateKey,
  encryptPrivateKey,
  readSecretFile,
  writePublicFile,
  writeSecretFile,
} from '@sealift/pki';
import { certificatesIn, readCertificateFile } from '../certificate-file.ts';
import { makeDirectory } from '../data-directory.ts';
import { errnoOf, refuse } from '../failure.ts';

/** What Docker calls its files, so that `--tlscacert` and its like, and `DOCKER_CERT_PATH`, find them. */
export const TRUST_FILE = 'ca.pem';
export const CA_KEY_FILE = 'ca-key.pem';
export const LEAF_FILES = {
  server: { certificate: 'server-cert.pem', key: 'server-key.pem' },
  client: { certificate: 'cert.pem', key: 'key.pem' },
} as const;
export type LeafRole = keyof typeof LEAF_FILES;

/** What goes into one directory; what is missing stays as it is. */
export interface DirectoryContents {
  /** The CA certificates to trust, PEM. */
  readonly trust: string;
  readonly leaf?: { readonly role: LeafRole; readonly certificatePem: string; readonly privateKeyPem: string };
  /** The key of the CA itself, encrypted. */
  readonly caKeyPem?: string;
}

/** Throws `CONFIG_INVALID` that names each of these files in `directory` that exists, unless that is wanted. */
export async function refuseToOverwrite(
  directory: string,
  { names, overwrite }: { names: readonly string[]; overwrite: boolean },
): Promise<void> {
  if (overwrite) return;
  const found: string[] = [];
  for (const name of names) if (await isThere(join(directory, name))) found.push(name);
  if (found.length === 0) return;
  throw new AppError('CONFIG_INVALID', {
    reason: `${found.join(', ')} already in ${directory}`,
    advice: 'Choose another directory, or say --overwrite. `sealift docker-tls renew` takes the place of certificates.',
  });
}

/**
 * Throws `CONFIG_INVALID` if the `ca.pem` in `directory` has a CA that is not in `trust`, unless that is wanted: whoever uses the
 * directory would not know its other partners any more.
 */
export async function refuseToForget(
  directory: string,
  { trust, overwrite }: { trust: string; overwrite: boolean },
): Promise<void> {
  if (overwrite) return;
  const known = bodiesOf(trust);
  if (bodiesOf((await readIfThere(join(directory, TRUST_FILE))) ?? '').every((body) => known.includes(body))) return;
  throw new AppError('CONFIG_INVALID', {
    reason: `${TRUST_FILE} in ${directory} has another CA, which would be lost`,
    advice: 'Name a file with it as --also-trust, choose another directory, or say --overwrite.',
  });
}

/** Names the file in what `work` finds wrong with a certificate. */
export async function inFile<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!isAppError(cause, 'CERTIFICATE_REJECTED') || cause.details['file'] !== undefined) throw cause;
    throw new AppError('CERTIFICATE_REJECTED', { file, ...cause.details }, { cause });
  }
}

/** Writes the files, keys first, each whole or not at all; makes the directory, open to its owner only, if it is missing. */
export async function writeDirectory(directory: string, { trust, leaf, caKeyPem }: DirectoryContents): Promise<void> {
  await makeDirectory(directory, '--out');
  if (caKeyPem !== undefined) await writeSecretFile(join(directory, CA_KEY_FILE), caKeyPem);
  if (leaf !== undefined) {
    const { certificate, key } = LEAF_FILES[leaf.role];
    await writeSecretFile(join(directory, key), leaf.privateKeyPem);
    await writePublicFile(join(directory, certificate), leaf.certificatePem);
  }
  await writePublicFile(join(directory, TRUST_FILE), trust);
}

/** Writes a new CA to its directory, the key under `passphrase`. */
export async function writeCa(directory: string, ca: DockerCa, passphrase: string): Promise<void> {
  const caKeyPem = encryptPrivateKey(ca.exportPrivateKey(), passphrase);
  await writeDirectory(directory, { trust: ca.certificatePem, caKeyPem });
}

/** Throws `CONFIG_INVALID` if `directory` holds no CA, before anybody is asked for its passphrase. */
export async function checkCaDirectory(directory: string): Promise<void> {
  if ((await isThere(join(directory, TRUST_FILE))) && (await isThere(join(directory, CA_KEY_FILE)))) return;
  refuse('--ca', `there is no CA in ${directory}; \`sealift docker-tls init --ca ${directory}\` makes one`);
}

/** The CA in `directory`. Throws `KEY_FILE_UNSAFE` for a wrong passphrase or a key that is not under one. */
export async function openCa(directory: string, passphrase: string): Promise<DockerCa> {
  const certificatePem = await readCertificateFile('--ca', join(directory, TRUST_FILE));
  const privateKeyPem = decryptPrivateKey(await readSecretFile(join(directory, CA_KEY_FILE)), passphrase);
  return await DockerCa.load({ certificatePem, privateKeyPem });
}

/** The text of a file, `undefined` if there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Certificates without the way in which they are broken into lines. */
function bodiesOf(pems: string): string[] {
  return certificatesIn(pems).map((pem) => pem.replace(/\s/g, ''));
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}
