import { createPrivateKey } from 'node:crypto';
import { AppError } from '@sealift/core';

const ENCRYPTED = '-----BEGIN ENCRYPTED PRIVATE KEY-----';

/**
 * A private key as PKCS #8 under AES-256 (RFC 5958, PBES2). OpenSSL stretches the passphrase only 2048 times: use one with
 * the strength of a key, not one to remember. Throws `KEY_FILE_UNSAFE` for an empty passphrase or a bad key.
 */
export function encryptPrivateKey(pem: string, passphrase: string): string {
  if (passphrase === '') refuse('the passphrase is empty');
  return readKey(pem, undefined).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }) as string;
}

/**
 * The private key as plain PKCS #8 PEM. Throws `KEY_FILE_UNSAFE` if the passphrase is wrong or missing, and also if one is
 * given and the key is not encrypted: whoever set it believes that it is.
 */
export function decryptPrivateKey(pem: string, passphrase: string | undefined): string {
  const isEncrypted = pem.includes(ENCRYPTED);
  if (isEncrypted && passphrase === undefined) {
    refuse('the key is encrypted and no passphrase is given');
  }
  if (!isEncrypted && passphrase !== undefined) {
    refuse('a passphrase is given but the key is not encrypted');
  }
  return readKey(pem, passphrase).export({ type: 'pkcs8', format: 'pem' }) as string;
}

function readKey(pem: string, passphrase: string | undefined): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey({ key: pem, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    return refuse('wrong passphrase, or not a private key', cause);
  }
}

function refuse(reason: string, cause?: unknown): never {
  throw new AppError('KEY_FILE_UNSAFE', { reason }, { cause });
}
