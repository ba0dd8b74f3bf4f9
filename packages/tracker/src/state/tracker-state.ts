import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { type Clock, type ClusterId, type NodeId, parseNodeId } from '@sealift/core';
import type { SwarmCa } from '@sealift/pki';
import type { ClusterInfo } from '@sealift/tracker-api';
import { AdminToken } from './admin-token.ts';
import { openDatabase } from './database.ts';
import { DenyList } from './deny-list.ts';
import { JoinTokens } from './join-tokens.ts';
import { readMeta, writeMeta } from './meta.ts';
import { NodeTable } from './node-table.ts';
import { PushVersion } from './push-version.ts';
import { PushedList } from './pushed-list.ts';
import { RevocationList } from './revocation-list.ts';
import type { SigningKey } from './signing-key.ts';
import { openKeys } from './stored-keys.ts';
import type { SwarmCas } from './swarm-cas.ts';

/** What of a tracker must last: keys, join tokens, nodes, deny list. The CLI opens it beside a running tracker. */
export interface TrackerState {
  readonly clusterId: ClusterId;
  /** The CA that signs now. */
  readonly ca: SwarmCa;
  /** All CAs that count, and their rotation. */
  readonly cas: SwarmCas;
  /** Signs grants. */
  readonly grantKey: SigningKey;
  /** Signs piece hashes; for the seeder in this process. */
  readonly contentKey: SigningKey;
  readonly joinTokens: JoinTokens;
  readonly nodes: NodeTable;
  readonly denyList: DenyList;
  readonly revocations: RevocationList;
  /** What nodes are told of both. */
  readonly pushed: PushedList;
  readonly adminToken: AdminToken;
  /** The id of the seeder in this process, the same after a restart. */
  readonly seederId: NodeId;
  /** What is public about the cluster now; during a rotation it names both CAs. */
  readonly clusterInfo: ClusterInfo;
  /** `https://host:port` by which nodes reached the tracker when it last ran; `undefined` before its first start. */
  readonly origin: string | undefined;
  /** Keeps the address for those who make join tokens, in this or another process. */
  setOrigin(origin: string): void;
  /** Closes the database; safe to call twice. */
  close(): void;
}

/**
 * Opens the state in `dataDirectory` and makes it at first start. Without `clusterId` it must be there already. Throws
 * `KEY_FILE_UNSAFE` for files that are open to others or a wrong passphrase, `CONFIG_INVALID` for another cluster's.
 */
export async function openTrackerState({
  dataDirectory,
  clusterId: expected,
  passphrase,
  clock,
}: {
  dataDirectory: string;
  clusterId?: ClusterId | undefined;
  passphrase?: string | undefined;
  clock: Clock;
}): Promise<TrackerState> {
  const database = await openDatabase(dataDirectory);
  try {
    const { cas, grantKey, contentKey } = await openKeys({ database, clusterId: expected, passphrase, clock });
    const { clusterId } = cas.issuing;
    const version = new PushVersion(database);
    const denyList = new DenyList({ database, clock, version });
    const revocations = new RevocationList({ database, clock, version });
    const adminToken = await AdminToken.open({ database, dataDirectory });
    return {
      clusterId,
      cas,
      grantKey,
      contentKey,
      get ca() {
        return cas.issuing;
      },
      joinTokens: new JoinTokens({ database, clock }),
      nodes: new NodeTable({ database, clock }),
      denyList,
      revocations,
      pushed: new PushedList({ denyList, revocations, version, clock }),
      adminToken,
      seederId: openSeederId(database),
      get clusterInfo() {
        return {
          clusterId,
          trustAnchors: cas.trustAnchors,
          grantKeys: [grantKey.publicJwk],
          contentKeys: [contentKey.publicJwk],
        };
      },
      get origin() {
        return readMeta(database, 'origin');
      },
      setOrigin: (origin) => writeMeta(database, 'origin', origin),
      close: () => {
        if (database.isOpen) database.close();
      },
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

function openSeederId(database: DatabaseSync): NodeId {
  const stored = readMeta(database, 'seeder_id');
  if (stored !== undefined) return parseNodeId(stored);
  const id = parseNodeId(`seeder-${randomBytes(6).toString('hex')}`);
  writeMeta(database, 'seeder_id', id);
  return id;
}
