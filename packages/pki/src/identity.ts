import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { AppError, type Clock, type ClusterId, type NodeId, systemClock } from '@sealift/core';
import { thumbprintOf } from './certificate.ts';
import { extendedKeyUsagesOf } from './profile.ts';
import { parseIdentityUri, type Role } from './spiffe.ts';
import { soleUriName } from './subject-names.ts';

/** Who a certificate says its holder is. Times in ms since the epoch. */
export interface Identity {
  readonly clusterId: ClusterId;
  readonly role: Role;
  readonly id: NodeId;
  /** base64url SHA-256 of the DER, as in a grant's `cnf` (RFC 8705 §3.1). */
  readonly x5tS256: string;
  /** The name of the CA that signed it: one that has been retired since is no longer good. */
  readonly issuer: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Whom we are ready to talk to. */
export interface ExpectedIdentity {
  /** `undefined` where the trust anchor alone fixes the cluster. */
  readonly clusterId?: ClusterId | undefined;
  readonly roles: readonly Role[];
  /** @default systemClock */
  readonly clock?: Clock;
}

/**
 * Reads the identity out of a certificate that is already known to be signed by the swarm CA. It must have exactly one URI
 * SAN, of the form `spiffe://<cluster>/<role>/<id>`; throws `CERTIFICATE_REJECTED`.
 */
export function identityOfCertificate(certificate: X509Certificate): Identity {
  const identity = readIdentityUri(certificate) ?? refuse('it has no single identity URI');
  return {
    ...identity,
    x5tS256: thumbprintOf(certificate.raw),
    issuer: certificate.issuer,
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
  };
}

/**
 * The identity of the other end of a TLS connection. Demands a chain that verified in this very handshake, the cluster, one
 * of the roles, dates that hold now, and the key usages of the role. Throws `CERTIFICATE_REJECTED`.
 */
export function identityOfSocket(
  socket: TLSSocket,
  expected: ExpectedIdentity & { readonly clusterId: ClusterId },
): Identity {
  // A resumed session counts as authorized although no certificate was shown or checked.
  if (socket.isSessionReused()) refuse('the TLS session is resumed');
  const certificate = peerCertificateOf(socket) ?? refuse('none was shown');
  if (!socket.authorized) refuse(`the chain does not verify: ${authorizationErrorOf(socket)}`);
  return demandIdentity(certificate, expected);
}

/** {@link identityOfCertificate}, held against what is expected; throws `CERTIFICATE_REJECTED`. */
export function demandIdentity(
  certificate: X509Certificate,
  { clusterId, roles, clock = systemClock }: ExpectedIdentity,
): Identity {
  const identity = identityOfCertificate(certificate);
  if (clusterId !== undefined && identity.clusterId !== clusterId) refuse('it is of another cluster');
  if (!roles.includes(identity.role)) refuse(`its role is ${identity.role}`);
  const now = clock.now();
  if (now < identity.notBefore) refuse('it is not valid yet');
  if (now >= identity.notAfter) refuse('it has expired');
  if (certificate.ca) refuse('it is a CA');
  // Node names the extended key usages `keyUsage`. Absent means "any" to TLS; not to us.
  const usages = certificate.keyUsage ?? [];
  if (!extendedKeyUsagesOf(identity.role).every((usage) => usages.includes(usage))) refuse('it lacks a key usage');
  return identity;
}

/** Certificates already read. A TLS 1.3 connection keeps the one it started with, and an HTTP server asks at every request. */
const peerCertificates = new WeakMap<TLSSocket, X509Certificate>();

// Not getPeerX509Certificate: on a client each call takes one certificate off the chain, so the second one answers with the
// issuer, or with nothing.
function peerCertificateOf(socket: TLSSocket): X509Certificate | undefined {
  const known = peerCertificates.get(socket);
  if (known !== undefined) return known;
  // Typed as always there; in fact empty or null for an end that shows no certificate.
  const der: Buffer | undefined = socket.getPeerCertificate()?.raw;
  if (der === undefined) return undefined;
  const certificate = new X509Certificate(der);
  peerCertificates.set(socket, certificate);
  return certificate;
}

function readIdentityUri(certificate: X509Certificate): ReturnType<typeof parseIdentityUri> {
  try {
    return parseIdentityUri(soleUriName(certificate) ?? '');
  } catch (cause) {
    return refuse('its names cannot be read', cause);
  }
}

function authorizationErrorOf(socket: TLSSocket): string {
  // Typed as Error; in fact OpenSSL's code as a string.
  const error: unknown = socket.authorizationError;
  return typeof error === 'string' ? error : 'not authorized';
}

function refuse(reason: string, cause?: unknown): never {
  throw new AppError('CERTIFICATE_REJECTED', { reason }, { cause });
}
