import type { X509Certificate } from 'node:crypto';

/**
 * The URI among a certificate's subject alternative names, if there is exactly one. Node writes the names as one line, with
 * a value in quotes if it holds a comma or anything else that could pose as a separator. No name of ours needs that, so a
 * quote anywhere means that nothing is read at all.
 */
export function soleUriName({ subjectAltName }: X509Certificate): string | undefined {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return undefined;
  const uris = subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
  return uris.length === 1 ? uris[0]?.slice('URI:'.length) : undefined;
}
