import type { X509Certificate } from 'node:crypto';
import { x509 } from './x509.ts';

/** Certificates in a chain at most, root excluded: a leaf and three CAs. */
const MAX_CHAIN = 4;
/** Hashes of signatures that are believed: anything older has known collisions. */
const HASHES = new Set(['SHA-256', 'SHA-384', 'SHA-512']);
/** Critical extensions that are looked at here; any other one rejects (RFC 5280 §4.2). */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  '2.5.29.15', // key usage
  '2.5.29.19', // basic constraints
  '2.5.29.14', // subject key identifier
  '2.5.29.35', // authority key identifier
  '2.5.29.17', // subject alternative name: we ask for no name
  '2.5.29.37', // extended key usage: there is none for signing tokens
]);

interface Parsed {
  readonly certificate: X509Certificate;
  readonly parsed: x509.X509Certificate;
}

/**
 * Whether the first certificate of `chain` is good for digital signatures at `now` (ms), each further one issued the one
 * before it, and one of `roots` issued the last (RFC 5280 §6.1, without policies and names). A root among the chain may
 * stand at its end. `roots` are trusted as they are, but for their dates; nothing in the chain is. Never throws.
 */
export function isTrustedChain(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): boolean {
  const [leaf] = chain;
  if (leaf === undefined || chain.length > MAX_CHAIN) return false;
  try {
    // A leaf that is a root itself is a key that the operator named, and for the caller to compare.
    const links = chain.filter((certificate) => !roots.some((root) => root.raw.equals(certificate.raw))).map(parse);
    if (links[0]?.certificate !== leaf || !links.every(({ parsed }) => isSound(parsed, now))) return false;
    if (!mayDo(links[0].parsed, x509.KeyUsageFlags.digitalSignature)) return false;
    for (const [index, link] of links.entries()) {
      if (index === 0) continue;
      // CAs between this one and the leaf.
      if (!mayIssue(link.parsed, index - 1) || !isIssuedBy(links[index - 1], link)) return false;
    }
    const last = links.at(-1);
    return roots
      .map(parse)
      .some((root) => isInTime(root.parsed, now) && mayIssue(root.parsed, links.length - 1) && isIssuedBy(last, root));
  } catch {
    // Broken in a way that only shows on a closer look.
    return false;
  }
}

function parse(certificate: X509Certificate): Parsed {
  return { certificate, parsed: new x509.X509Certificate(certificate.raw) };
}

function isSound(certificate: x509.X509Certificate, now: number): boolean {
  const isUnderstood = certificate.extensions.every(({ critical, type }) => !critical || UNDERSTOOD.has(type));
  const { hash } = certificate.signatureAlgorithm;
  // EdDSA hashes by itself and names no hash.
  const isStrong = hash === undefined ? certificate.signatureAlgorithm.name === 'Ed25519' : HASHES.has(hash.name);
  return isUnderstood && isStrong && isInTime(certificate, now);
}

function isInTime({ notBefore, notAfter }: x509.X509Certificate, now: number): boolean {
  return notBefore.getTime() <= now && now <= notAfter.getTime();
}

/** A CA that may sign certificates, with `casBelow` CAs between it and the leaf (RFC 5280 §4.2.1.9). */
function mayIssue(certificate: x509.X509Certificate, casBelow: number): boolean {
  const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
  if (constraints?.ca !== true || (constraints.pathLength ?? Number.POSITIVE_INFINITY) < casBelow) return false;
  return mayDo(certificate, x509.KeyUsageFlags.keyCertSign);
}

/** A certificate without key usage is for any (RFC 5280 §4.2.1.3). */
function mayDo(certificate: x509.X509Certificate, flag: number): boolean {
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages;
  return usages === undefined || (usages & flag) !== 0;
}

function isIssuedBy(subject: Parsed | undefined, issuer: Parsed): boolean {
  if (subject === undefined) return false;
  // The first compares names and key identifiers only, the second the signature only.
  const { certificate } = subject;
  return certificate.checkIssued(issuer.certificate) && certificate.verify(issuer.certificate.publicKey);
}
