import type { DatabaseSync } from 'node:sqlite';
import { AppError, type Clock, type ClusterId, parseClusterId } from '@sealift/core';
import { decryptPrivateKey, encryptPrivateKey, SwarmCa } from '@sealift/pki';
import { transaction } from './database.ts';
import { readMeta, writeMeta } from './meta.ts';
import { loadSigningKey, newSigningKeyPem, type SigningKey } from './signing-key.ts';
import { insertCa, SwarmCas } from './swarm-cas.ts';

/** The keys that make the cluster. They live in this process and, optionally encrypted, in its database. */
export interface ClusterKeys {
  readonly cas: SwarmCas;
  readonly grantKey: SigningKey;
  readonly contentKey: SigningKey;
}

type KeyName = 'grant' | 'content';

/**
 * The keys in the database; made first if there are none and `clusterId` says whose they shall be. Throws
 * `CONFIG_INVALID` for a database of another cluster, and `KEY_FILE_UNSAFE` when the passphrase does not fit.
 */
export async function openKeys({
  database,
  clusterId,
  passphrase,
  clock,
}: {
  database: DatabaseSync;
  clusterId: ClusterId | undefined;
  passphrase: string | undefined;
  clock: Clock;
}): Promise<ClusterKeys> {
  if (readMeta(database, 'cluster_id') === undefined) {
    if (clusterId === undefined) {
      throw new AppError('CONFIG_INVALID', {
        reason: 'there is no cluster here yet',
        advice: 'Start the tracker first.',
      });
    }
    await createKeys(database, clusterId, passphrase, clock);
  }
  const stored = parseClusterId(readMeta(database, 'cluster_id') ?? '');
  if (clusterId !== undefined && clusterId !== stored) {
    throw new AppError('CONFIG_INVALID', {
      reason: 'the data directory belongs to another cluster',
      found: stored,
      advice: 'A cluster keeps its name: use another directory for another cluster.',
    });
  }
  const pemOf = (name: KeyName): string => decryptPrivateKey(readKey(database, name), passphrase);
  const cas = await SwarmCas.open({ database, passphrase, clock });
  if (cas.issuing.clusterId !== stored)
    throw new AppError('CONFIG_INVALID', { reason: 'the CA is of another cluster' });
  return { cas, grantKey: await loadSigningKey(pemOf('grant')), contentKey: await loadSigningKey(pemOf('content')) };
}

async function createKeys(
  database: DatabaseSync,
  clusterId: ClusterId,
  passphrase: string | undefined,
  clock: Clock,
): Promise<void> {
  const ca = await SwarmCa.create({ clusterId, clock });
  const protect = (pem: string): string => (passphrase === undefined ? pem : encryptPrivateKey(pem, passphrase));
  const caPrivatePem = protect(await ca.exportPrivateKey());
  const signingKeys: readonly (readonly [KeyName, string])[] = [
    ['grant', protect(newSigningKeyPem())],
    ['content', protect(newSigningKeyPem())],
  ];
  transaction(database, () => {
    // Another process may have been first while we waited; its keys stand.
    if (readMeta(database, 'cluster_id') !== undefined) return;
    writeMeta(database, 'cluster_id', clusterId);
    insertCa(database, 'ca', caPrivatePem, ca.certificatePem);
    const insert = database.prepare("INSERT INTO keys VALUES (?, ?, '')");
    for (const row of signingKeys) insert.run(...row);
  });
}

function readKey(database: DatabaseSync, name: KeyName): string {
  const row = database.prepare('SELECT private_pem FROM keys WHERE name = ?').get(name);
  if (row === undefined)
    throw new AppError('CONFIG_INVALID', { reason: 'a key is missing from the database', key: name });
  return String(row['private_pem']);
}
