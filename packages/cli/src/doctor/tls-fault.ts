import { isAppError } from '@sealift/core';

/** Why a TLS connection failed, as far as the way out differs. */
export type TlsFault = 'untrusted' | 'expired' | 'early' | 'misnamed' | 'no-tls' | 'client-wanted';

/** Names of OpenSSL and Node (nodejs.org/api/tls.html, "X509 certificate error codes"). */
const FAULTS: Readonly<Record<string, TlsFault>> = {
  UNABLE_TO_GET_ISSUER_CERT: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'untrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'untrusted',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'untrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'untrusted',
  CERT_SIGNATURE_FAILURE: 'untrusted',
  CERT_UNTRUSTED: 'untrusted',
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'early',
  ERR_TLS_CERT_ALTNAME_INVALID: 'misnamed',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no-tls',
  ERR_SSL_HTTP_REQUEST: 'no-tls',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'client-wanted',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'client-wanted',
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE': 'client-wanted',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'client-wanted',
};

/** The fault in an error or its causes; `undefined` if it is no matter of TLS. */
export function tlsFaultOf(error: unknown): TlsFault | undefined {
  const code = codeOf(error);
  return code !== undefined && Object.hasOwn(FAULTS, code) ? FAULTS[code] : undefined;
}

/** The code of the innermost error that has one: what the system or OpenSSL said. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, errors } = error as Error & { code?: unknown; errors?: unknown };
  // Both addresses of a name were tried.
  const inner = codeOf(error.cause) ?? (Array.isArray(errors) ? codeOf(errors[0]) : undefined);
  return inner ?? (typeof code === 'string' ? code : undefined);
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  EHOSTUNREACH: 'there is no way to this host',
  ENETUNREACH: 'there is no way to this network',
  ENOENT: 'there is no such file',
  ENOTFOUND: 'the name is not known',
  EAI_AGAIN: 'the name service does not answer',
  ETIMEDOUT: 'there is no answer',
  ABORT_ERR: 'there is no answer',
  UND_ERR_CONNECT_TIMEOUT: 'there is no answer',
};

/** Why a connection failed, in words. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const known = code === undefined ? undefined : REASONS[code];
  if (known !== undefined) return known;
  if (error instanceof Error && error.name === 'TimeoutError') return 'there is no answer';
  // What we have refused ourselves says more than its code.
  if (isAppError(error) && code === error.code && typeof error.details['reason'] === 'string') {
    return error.details['reason'];
  }
  return code ?? (error instanceof Error ? error.message : String(error));
}
