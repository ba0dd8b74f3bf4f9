import { constants } from 'node:crypto';
import { type ConnectionOptions, createSecureContext, type SecureContext, type TlsOptions } from 'node:tls';
import { HANDSHAKE_TIMEOUT_MS, type TlsMaterial } from './tls-material.ts';

const TLS_1_3 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

/**
 * Options of a peer's listener: TLS 1.3, a verified client certificate, no session tickets. In TLS 1.3 a client without a
 * certificate first sees the connection as open; admit a peer only after `identityOfSocket`.
 */
export function peerServerOptions({ trustAnchors, certificatePem, privateKeyPem }: TlsMaterial): TlsOptions {
  return {
    ...TLS_1_3,
    ca: trustAnchors,
    cert: certificatePem,
    key: privateKeyPem,
    requestCert: true,
    rejectUnauthorized: true,
    // A resumed session would skip the check of the client certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  };
}

/** The context that all dials under one certificate share, so that PEM is parsed once. */
export function peerClientContext({ trustAnchors, certificatePem, privateKeyPem }: TlsMaterial): SecureContext {
  return createSecureContext({
    ...TLS_1_3,
    ca: trustAnchors,
    cert: certificatePem,
    key: privateKeyPem,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
}

/** A context for a look at the certificate that a peer shows, without one of one's own: the peer ends the connection then. */
export function onlookerContext(trustAnchors: string): SecureContext {
  return createSecureContext({ ...TLS_1_3, ca: trustAnchors, secureOptions: constants.SSL_OP_NO_TICKET });
}

/** Options of a dial to a peer, beside host and port. The caller must hold the socket against `identityOfSocket`. */
export function peerConnectOptions(context: SecureContext): ConnectionOptions {
  return {
    secureContext: context,
    rejectUnauthorized: true,
    // Node compares DNS names and addresses only; ours is a URI SAN, compared by identityOfSocket (RFC 5280 §4.2.1.6).
    checkServerIdentity: () => undefined,
  };
}
