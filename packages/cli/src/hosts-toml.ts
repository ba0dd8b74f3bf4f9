import { AppError, type RegistryHost } from '@sealift/core';
import { upstreamOrigin } from '@sealift/registry';
import { readToml, tomlStrings } from './setup/toml-document.ts';

/** What a `hosts.toml` of containerd says of the certificates for a registry itself; paths as they are written. */
export interface HostsToml {
  readonly ca: readonly string[];
  readonly client: readonly { readonly certificate: string; readonly key: string }[];
}

/**
 * Reads `ca` and `client` at the top of a file, which are for the `server`, and in the table of the registry's own address.
 * Those of other hosts, mirrors above all, are not meant. Throws `CONFIG_INVALID` for what cannot be read.
 */
export function hostsTomlOf(text: string, registry: RegistryHost): HostsToml {
  const origin = upstreamOrigin(registry);
  const values = (name: string): string[] =>
    readToml(text)
      .entries.filter(({ path }) => {
        const [kind, host = '', key] = path;
        if (path.length === 1) return kind === name;
        return path.length === 3 && kind === 'host' && isOrigin(host, origin) && key === name;
      })
      .map(({ value }) => value);
  return { ca: values('ca').flatMap(tomlStrings), client: values('client').flatMap(clientsOf) };
}

/** A file with both, a list of such, or a list of pairs (containerd docs/hosts.md, `client`). */
function clientsOf(value: string): { certificate: string; key: string }[] {
  const inner = value.startsWith('[') ? value.slice(1).match(/\[[^[\]]*\]/g) : null;
  if (inner === null) return tomlStrings(value).map((path) => ({ certificate: path, key: path }));
  return inner.map((pair) => {
    const [certificate, key, ...more] = tomlStrings(pair);
    if (certificate === undefined || more.length > 0) {
      throw new AppError('CONFIG_INVALID', { reason: 'an entry of client is not a certificate and a key' });
    }
    return { certificate, key: key === undefined || key === '' ? certificate : key };
  });
}

function isOrigin(text: string, origin: string): boolean {
  const url = text.includes('://') ? text : `https://${text}`;
  return URL.canParse(url) && new URL(url).origin === origin;
}
