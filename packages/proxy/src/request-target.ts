import { parseHostPort } from '@sealift/core';

/** What a request line asks for (RFC 9112 §3.2): a path here, a whole address, or a form we do not take. */
export type RequestTarget =
  | { readonly kind: 'origin'; readonly path: string }
  | {
      readonly kind: 'absolute';
      readonly scheme: 'http' | 'https';
      /** As the client wrote it, to be sent on as Host. */
      readonly authority: string;
      readonly hostname: string;
      readonly port: number;
      readonly path: string;
    }
  | { readonly kind: 'other' };

const ABSOLUTE = /^(?<scheme>https?):\/\/(?<authority>[^/?#]*)(?<path>[/?][^#]*)?$/i;

/** Sorts a request target. A path is kept as it came, since a registry may sign or compare it. */
export function parseRequestTarget(target: string): RequestTarget {
  if (target.startsWith('/')) return target.includes('#') ? { kind: 'other' } : { kind: 'origin', path: target };
  const groups = ABSOLUTE.exec(target)?.groups;
  if (groups?.['scheme'] === undefined || groups['authority'] === undefined) return { kind: 'other' };
  const scheme = groups['scheme'].toLowerCase() as 'http' | 'https';
  const authority = groups['authority'];
  const endpoint = parseAuthority(authority, scheme);
  if (endpoint === undefined) return { kind: 'other' };
  const path = groups['path'] ?? '/';
  return { kind: 'absolute', scheme, authority, ...endpoint, path: path.startsWith('?') ? `/${path}` : path };
}

function parseAuthority(authority: string, scheme: 'http' | 'https'): { hostname: string; port: number } | undefined {
  const place = parseHostPort(authority);
  return place && { hostname: place.hostname, port: place.port ?? (scheme === 'http' ? 80 : 443) };
}

/**
 * Takes the registry that a mirror request names (`?ns=registry.example:5000`, as containerd sends it) out of a path. `ns`
 * is `undefined` if none is named; the whole answer is, if more than one is or it cannot be read. Other parameters stay
 * as they are.
 */
export function splitNamespace(path: string): { ns: string | undefined; path: string } | undefined {
  const mark = path.indexOf('?');
  if (mark === -1) return { ns: undefined, path };
  const parameters = path.slice(mark + 1).split('&');
  const [named, ...more] = parameters.filter((parameter) => parameter.startsWith('ns='));
  if (named === undefined) return { ns: undefined, path };
  const ns = decode(named.slice('ns='.length));
  if (ns === undefined || more.length > 0) return undefined;
  const rest = parameters.filter((parameter) => !parameter.startsWith('ns=')).join('&');
  return { ns, path: rest === '' ? path.slice(0, mark) : `${path.slice(0, mark)}?${rest}` };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
