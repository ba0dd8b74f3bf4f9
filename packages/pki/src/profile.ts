import { isIP } from 'node:net';
import { AppError, type ClusterId, type NodeId } from '@sealift/core';
import { formatIdentityUri, type Role } from './spiffe.ts';
import { x509 } from './x509.ts';

/** What the swarm CA is asked to certify. Comes from the tracker's own decision, never from a signing request. */
export interface CertificateProfile {
  readonly role: Role;
  readonly id: NodeId;
  /** Life of the certificate, in ms from now. Cut to the life of the CA. */
  readonly ttlMs: number;
  /** DNS names for tools that check them. Only a tracker may have any. */
  readonly dnsNames?: readonly string[];
  /** IP addresses, likewise. */
  readonly ipAddresses?: readonly string[];
}

/** A DNS name in lower case, with a wildcard as its first label at most (RFC 6125 §6.4.3). */
export const DNS_NAME =
  /^(?=.{1,253}$)(?:\*\.)?[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/;

/**
 * The common name of every peer. Nobody's identity: that is the URI. Stock BitTorrent clients compare it with the name of an
 * SSL torrent, so the metainfo of a public swarm bears this very name (docs/protocol.md, "Public swarms").
 */
export const PEER_COMMON_NAME = 'sealift-peer';

/** The common name of a certificate. */
export function commonNameOf({ role, id }: Pick<CertificateProfile, 'role' | 'id'>): string {
  return role === 'tracker' ? id : PEER_COMMON_NAME;
}

/** The extended key usages that a certificate of `role` has, and must have: peers dial and are dialled. */
export function extendedKeyUsagesOf(role: Role): readonly string[] {
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  return role === 'tracker' ? [serverAuth] : [serverAuth, clientAuth];
}

/** The SANs of a profile; throws `CERTIFICATE_REJECTED` for a profile that must not be signed. */
export function namesOf(clusterId: ClusterId, profile: CertificateProfile): x509.JsonGeneralNames {
  const { role, id, ttlMs, dnsNames = [], ipAddresses = [] } = profile;
  if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0) refuse('its life is not a positive number of ms');
  if (role !== 'tracker' && dnsNames.length + ipAddresses.length > 0) refuse('only a tracker has host names');
  if (!dnsNames.every((name) => DNS_NAME.test(name))) refuse('a DNS name is not well-formed');
  if (!ipAddresses.every((address) => isIP(address) !== 0)) refuse('an IP address is not well-formed');
  return [
    { type: 'url', value: formatIdentityUri({ clusterId, role, id }) },
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ];
}

function refuse(reason: string): never {
  throw new AppError('CERTIFICATE_REJECTED', { reason });
}
