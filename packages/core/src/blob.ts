import { isIPv4, isIPv6 } from 'node:net';
import type { Digest } from './digest.ts';
import { AppError } from './errors.ts';

/**
 * A registry as rights and swarms name it: lower-case `host`, or `host:port` where the port is not 443. An IP address is
 * in canonical form, an IPv6 one in brackets. Two spellings of one registry must not make two swarms, so only the parser casts.
 */
export type RegistryHost = string & { readonly __brand: 'RegistryHost' };

/** Docker Hub, as image names spell it. */
export const DOCKER_HUB = 'docker.io' as RegistryHost;
/** Where Docker Hub's distribution API lives: nothing answers `/v2/` at `docker.io` itself. */
export const DOCKER_HUB_API = 'registry-1.docker.io';
/**
 * Other names under which runtimes speak of Docker Hub: its key in Docker's credentials, and the host that they dial. Whichever
 * is used, the right is asked for at {@link DOCKER_HUB_API}, so they are one registry; every other name and port is another.
 */
const DOCKER_HUB_ALIASES: ReadonlySet<string> = new Set(['index.docker.io', DOCKER_HUB_API]);

/** A repository name (OCI distribution-spec § pulling manifests, `<name>`). */
export type Repository = string & { readonly __brand: 'Repository' };

/** What a right is about: this blob, in this repository, of this registry. A digest alone never authorizes. */
export interface BlobRef {
  readonly registry: RegistryHost;
  readonly repository: Repository;
  readonly digest: Digest;
}

const HOST_LABEL = /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;
const PRINTABLE_ASCII = /^[\x21-\x7e]+$/;
const NUMBER_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/;
// OCI distribution-spec: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
/** Longest repository name, in characters: many registries hold host and name together to 255. */
const MAX_REPOSITORY_LENGTH = 255;
/** Longest DNS name, in characters (RFC 1035 §2.3.4). */
const MAX_HOST_LENGTH = 253;

/** Splits `host:port`, `[ipv6]:port` or a bare host; `undefined` if it is none of these. Does not change case. */
export function splitHostPort(text: string): { host: string; port: number | undefined } | undefined {
  const match = /^(?<host>\[[0-9A-Fa-f:.]{2,45}\]|[^:[\]/\\@?#\s]{1,253})(?::(?<port>[0-9]{1,5}))?$/.exec(text);
  const groups = match?.groups;
  if (groups?.['host'] === undefined) return undefined;
  const port = groups['port'] === undefined ? undefined : Number(groups['port']);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  return { host: groups['host'], port };
}

/**
 * Parses `host[:port]` as a place to dial: the host in its one spelling (IPv6 without brackets), and the port as written.
 * `undefined` if it is none.
 */
export function parseHostPort(text: string): { hostname: string; port: number | undefined } | undefined {
  const split = splitHostPort(text);
  const host = split === undefined ? undefined : normalizeHost(split.host);
  return split === undefined || host === undefined ? undefined : { hostname: unbracketed(host), port: split.port };
}

/** Parses and normalizes a registry, Docker Hub's other names too; throws `REGISTRY_INVALID`. */
export function parseRegistryHost(text: string): RegistryHost {
  const split = splitHostPort(text);
  const host = split === undefined ? undefined : normalizeHost(split.host);
  if (split === undefined || host === undefined) {
    throw new AppError('REGISTRY_INVALID', {
      advice: 'write it as in an image name, for example registry.example:5000',
    });
  }
  if (split.port !== undefined && split.port !== 443) return `${host}:${split.port}` as RegistryHost;
  return DOCKER_HUB_ALIASES.has(host) ? DOCKER_HUB : (host as RegistryHost);
}

/** Host (IPv6 without brackets) and port to dial for a registry; HTTPS, so 443 where none is written. */
export function registryEndpoint(registry: RegistryHost): { hostname: string; port: number } {
  if (registry === DOCKER_HUB) return { hostname: DOCKER_HUB_API, port: 443 };
  const split = splitHostPort(registry);
  if (split === undefined) throw new AppError('REGISTRY_INVALID');
  return { hostname: unbracketed(split.host), port: split.port ?? 443 };
}

/** Parses a repository name; throws `REPOSITORY_INVALID`. */
export function parseRepository(text: string): Repository {
  const isValid = text.length <= MAX_REPOSITORY_LENGTH && text.split('/').every((part) => PATH_COMPONENT.test(part));
  if (!isValid) throw new AppError('REPOSITORY_INVALID', { length: text.length });
  return text as Repository;
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

/** One spelling for each host; `undefined` if it is none. */
function normalizeHost(text: string): string | undefined {
  // Before lower-casing, which maps a few letters outside ASCII into it (U+212A, the kelvin sign, becomes `k`).
  if (!PRINTABLE_ASCII.test(text)) return undefined;
  const host = text.toLowerCase();
  if (host.startsWith('[')) {
    // The URL parser compresses zeros and writes embedded IPv4 in hex, so that one address has one spelling.
    return isIPv6(host.slice(1, -1)) ? new URL(`https://${host}`).hostname : undefined;
  }
  const labels = host.split('.');
  if (host.length > MAX_HOST_LENGTH || !labels.every((label) => HOST_LABEL.test(label))) return undefined;
  // URL parsers read `127.1` and `0x7f000001` as IPv4 addresses (WHATWG URL §3.5): only the plain form is one here.
  return NUMBER_LABEL.test(labels.at(-1) ?? '') && !isIPv4(host) ? undefined : host;
}
