import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { AppError } from '@sealift/core';
import {
  type DockerSubject,
  describeCertificate,
  dockerSubjectOf,
  isKeyOf,
  isSignedBy,
  KEY_TYPES,
  type KeyType,
  readSecretFile,
} from '@sealift/pki';
import { refuse } from '../failure.ts';
import { inFile, LEAF_FILES, type LeafRole, readIfThere } from './certificate-directory.ts';

/** A certificate that a new one is to take the place of. */
export interface Renewal {
  readonly directory: string;
  readonly role: LeafRole;
  readonly subject: DockerSubject;
  /** `undefined` where a new key is wanted. */
  readonly keptKeyPem: string | undefined;
  /** The kind of a new key: as the old one, where that is of ours. */
  readonly keyType: KeyType;
}

/**
 * The certificates in `directory` that can be renewed. Throws `CERTIFICATE_REJECTED` for one that is of none of `anchors`: whoever
 * can put a file there must not choose the names that are signed. Throws `CONFIG_INVALID` where there is none.
 */
export async function findRenewals(
  directory: string,
  { anchors, newKey }: { anchors: readonly string[]; newKey: boolean },
): Promise<Renewal[]> {
  const renewals: Renewal[] = [];
  for (const role of Object.keys(LEAF_FILES) as LeafRole[]) {
    const file = join(directory, LEAF_FILES[role].certificate);
    const pem = await readIfThere(file);
    if (pem === undefined) continue;
    const subject = await inFile(file, () => dockerSubjectOf(pem));
    if (subject.role !== role) reject(file, 'it is for another use than its name says');
    const certificate = new X509Certificate(pem);
    if (!anchors.some((anchor) => isSignedBy(certificate, new X509Certificate(anchor)))) {
      reject(file, 'it is of another CA', 'Name that CA with --also-trust if it may be renewed.');
    }
    const keptKeyPem = newKey ? undefined : await readSecretFile(join(directory, LEAF_FILES[role].key));
    if (keptKeyPem !== undefined && !isKeyOf(keptKeyPem, pem)) reject(file, 'its key is another', 'Say --new-key.');
    const { keyType: old } = describeCertificate(pem);
    renewals.push({ directory, role, subject, keptKeyPem, keyType: KEY_TYPES.find((type) => type === old) ?? 'p-256' });
  }
  if (renewals.length === 0) refuse('directory', `${directory} holds no certificate to renew`);
  return renewals;
}

function reject(file: string, reason: string, advice?: string): never {
  throw new AppError('CERTIFICATE_REJECTED', { file, reason, advice });
}
