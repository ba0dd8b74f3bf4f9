import { constants, X509Certificate } from 'node:crypto';
import { type ConnectionOptions, createSecureContext, type TlsOptions } from 'node:tls';
import { AppError, type ClusterId, isAppError } from '@sealift/core';
import { demandIdentity } from './identity.ts';
import { HANDSHAKE_TIMEOUT_MS, type TlsMaterial } from './tls-material.ts';

/** Options for a dial to the tracker; fits the `connect` of an undici dispatcher. */
export type TrackerConnectOptions = Omit<ConnectionOptions, 'host' | 'port' | 'path' | 'socket' | 'timeout'> & {
  /** undici keeps TLS sessions by default. A resumed one skips `checkServerIdentity`. */
  readonly maxCachedSessions: 0;
};

/**
 * Options of the tracker's HTTPS server. A client certificate is asked for but not demanded, since enrolment has none yet:
 * every other route must hold the socket against `identityOfSocket`. Sends `chain` after the leaf, for `fetchTrustAnchor`;
 * that is the CA, and during a rotation what leads from it to the other one.
 */
export function trackerServerOptions({
  trustAnchors,
  certificatePem,
  privateKeyPem,
  chain = trustAnchors,
}: TlsMaterial & { readonly chain?: string }): TlsOptions {
  return {
    minVersion: 'TLSv1.3',
    ca: trustAnchors,
    cert: `${certificatePem.trim()}\n${chain}`,
    key: privateKeyPem,
    requestCert: true,
    rejectUnauthorized: false,
    // A resumed session would skip the check of the client certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

/**
 * Options of a dial to the tracker, beside host and port. The server must show a certificate of the trust anchors with the
 * role `tracker`, whatever host name it is reached by: only the cluster's own CA can give one out.
 */
export function trackerConnectOptions({
  trustAnchors,
  clusterId,
  client,
}: {
  trustAnchors: string;
  clusterId?: ClusterId;
  client?: { readonly certificatePem: string; readonly privateKeyPem: string };
}): TrackerConnectOptions {
  return {
    secureContext: createSecureContext({
      minVersion: 'TLSv1.3',
      ca: trustAnchors,
      ...(client === undefined ? {} : { cert: client.certificatePem, key: client.privateKeyPem }),
      secureOptions: constants.SSL_OP_NO_TICKET,
    }),
    rejectUnauthorized: true,
    maxCachedSessions: 0,
    // Node compares DNS names and addresses only; what tells the tracker from a node is the URI SAN (RFC 5280 §4.2.1.6).
    checkServerIdentity: (_host, certificate) => trackerProblem(certificate.raw, clusterId),
  };
}

// Node wants the error returned: one that is thrown here would not reach the caller of tls.connect.
function trackerProblem(der: Buffer, clusterId: ClusterId | undefined): AppError | undefined {
  try {
    demandIdentity(new X509Certificate(der), { clusterId, roles: ['tracker'] });
    return undefined;
  } catch (error) {
    if (isAppError(error)) return error;
    return new AppError('CERTIFICATE_REJECTED', { reason: 'it cannot be read' }, { cause: error });
  }
}
