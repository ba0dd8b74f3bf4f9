import { type ClusterId, type NodeId, parseClusterId, parseNodeId } from '@sealift/core';

/** What a certificate holder may be. */
export type Role = 'node' | 'seeder' | 'tracker';

const IDENTITY_URI = /^spiffe:\/\/(?<cluster>[a-z0-9-]{1,63})\/(?<role>node|seeder|tracker)\/(?<id>[a-z0-9-]{1,63})$/;
const CLUSTER_URI = /^spiffe:\/\/(?<cluster>[a-z0-9-]{1,63})$/;

/** `spiffe://<cluster>/<role>/<id>`, the one URI SAN of a leaf. */
export function formatIdentityUri({ clusterId, role, id }: { clusterId: ClusterId; role: Role; id: NodeId }): string {
  return `spiffe://${clusterId}/${role}/${id}`;
}

/** Reads a leaf's URI SAN; `undefined` if it is anything else. Throws `ID_INVALID` on an id that no parser accepts. */
export function parseIdentityUri(uri: string): { clusterId: ClusterId; role: Role; id: NodeId } | undefined {
  const { cluster, role, id } = IDENTITY_URI.exec(uri)?.groups ?? {};
  if (cluster === undefined || role === undefined || id === undefined) return undefined;
  return { clusterId: parseClusterId(cluster), role: role as Role, id: parseNodeId(id) };
}

/** `spiffe://<cluster>`, the URI SAN of a swarm CA (X.509-SVID §3.1: a signing certificate has no path). */
export function formatClusterUri(clusterId: ClusterId): string {
  return `spiffe://${clusterId}`;
}

/** Reads a swarm CA's URI SAN; `undefined` if it is anything else. Throws `ID_INVALID`. */
export function parseClusterUri(uri: string): ClusterId | undefined {
  const cluster = CLUSTER_URI.exec(uri)?.groups?.['cluster'];
  return cluster === undefined ? undefined : parseClusterId(cluster);
}
