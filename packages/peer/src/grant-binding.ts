/**
 * Whether a grant of ours is bound to the certificate with this thumbprint (RFC 8705 §3.1). Reads the claim unverified:
 * it only spares us showing a peer what it would refuse, as happens for a moment after each certificate renewal.
 */
export function isBoundTo(grant: string, x5tS256: string): boolean {
  const [, payload] = grant.split('.');
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString('utf8'));
    const { cnf } = claims as { cnf?: Record<string, unknown> };
    return cnf?.['x5t#S256'] === x5tS256;
  } catch {
    // Not a token at all: its peers say so better than we can.
    return false;
  }
}
