import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { AppError, type Clock, isAppError, systemClock } from '@sealift/core';
import { fingerprintOf, isSignedBy } from './certificate.ts';

/** Longest wait for the tracker's certificates, in ms. */
const FETCH_TIMEOUT_MS = 10_000;
/** Certificates looked at; ours sends a leaf, its CA, and during a rotation a certificate for that CA by the other one. */
const MAX_CHAIN_LENGTH = 4;

/**
 * The swarm CA certificate, in PEM, that the tracker at `origin` shows, if it is the one with `fingerprint`; during a
 * rotation also the other one, if the tracker's leaf is of that one and the CA with `fingerprint` vouches for it now. Sends
 * nothing: reads the chain and closes. Throws `TRUST_ANCHOR_MISMATCH` if the tracker shows another, `TRACKER_UNAVAILABLE` if
 * it shows none in time (`timeoutMs`, 10 s by default) or `signal` ends the wait.
 */
export async function fetchTrustAnchor(
  { origin, fingerprint }: { origin: string; fingerprint: string },
  {
    signal,
    timeoutMs = FETCH_TIMEOUT_MS,
    clock = systemClock,
  }: { signal: AbortSignal; timeoutMs?: number; clock?: Clock },
): Promise<string> {
  const url = new URL(origin);
  const socket = connect({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 443 : Number(url.port),
    minVersion: 'TLSv1.3',
    // Nothing to verify against yet: the fingerprint is the check, and no byte of ours goes over this connection.
    rejectUnauthorized: false,
  });
  // For errors that come after we are done with the socket.
  socket.on('error', () => {});
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
    return pickAnchors(chainOf(socket), { fingerprint, now: clock.now() });
  } catch (cause) {
    throw isAppError(cause) ? cause : unavailable(origin, cause);
  } finally {
    socket.destroy();
  }
}

const CERTIFICATE_PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The names of the CAs in `trustAnchors` (PEM): an identity whose `issuer` is none of them is no longer good. */
export function namesOfAnchors(trustAnchors: string): ReadonlySet<string> {
  return new Set((trustAnchors.match(CERTIFICATE_PEM) ?? []).map((pem) => new X509Certificate(pem).subject));
}

function pickAnchors(
  [leaf, ...issuers]: readonly X509Certificate[],
  { fingerprint, now }: { fingerprint: string; now: number },
): string {
  const anchor = issuers.find(({ raw }) => fingerprintOf(raw) === fingerprint);
  if (leaf === undefined || anchor === undefined) {
    throw new AppError('TRUST_ANCHOR_MISMATCH', {
      advice: 'take a fresh join token from the tracker; if that does not help, something stands in between',
    });
  }
  if (anchor.ca && isSignedBy(leaf, anchor)) return anchor.toString();
  const other = issuers.find((ca) => ca !== anchor && isSignedBy(ca, ca) && isSignedBy(leaf, ca));
  if (!anchor.ca || other === undefined || !issuers.some((ca) => isVouchFor(ca, { other, anchor, now }))) {
    throw new AppError('TRUST_ANCHOR_MISMATCH', { reason: 'its own certificate is not of that CA' });
  }
  return `${anchor.toString()}${other.toString()}`;
}

/** Whether `voucher` is a word of `anchor` for the key of `other` that holds now; an old one must not be shown again. */
function isVouchFor(
  voucher: X509Certificate,
  { other, anchor, now }: { other: X509Certificate; anchor: X509Certificate; now: number },
): boolean {
  return (
    voucher.ca &&
    isSignedBy(voucher, anchor) &&
    voucher.subject === other.subject &&
    voucher.publicKey.equals(other.publicKey) &&
    voucher.validFromDate.getTime() <= now &&
    now < voucher.validToDate.getTime()
  );
}

function unavailable(origin: string, cause: unknown): AppError {
  return new AppError('TRACKER_UNAVAILABLE', { reason: 'it shows no certificate', origin }, { cause });
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // A self-signed certificate is its own issuer in this list, so the bound also ends a circle.
  for (; next?.raw !== undefined && chain.length < MAX_CHAIN_LENGTH; next = next.issuerCertificate) {
    chain.push(new X509Certificate(next.raw));
  }
  return chain;
}
