import type { RegistryHost } from '@sealift/core';
import { registryEndpoint } from '@sealift/core';

/** What never goes to a proxy. Go leaves loopback out by itself; other programs that inherit the variables do not. */
const LOCAL = ['localhost', '127.0.0.1', '::1'];

/** The proxy that an environment names for HTTPS, as Go reads it: capital letters first. */
export function httpsProxyOf(variables: ReadonlyMap<string, string>): string | undefined {
  return nonEmpty(variables.get('HTTPS_PROXY')) ?? nonEmpty(variables.get('https_proxy'));
}

/** The hosts that an environment leaves out of the proxy. */
export function noProxyOf(variables: ReadonlyMap<string, string>): string[] {
  const value = nonEmpty(variables.get('NO_PROXY')) ?? nonEmpty(variables.get('no_proxy')) ?? '';
  return value
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');
}

/** `NO_PROXY` with what an administrator has there already. */
export function mergeNoProxy(theirs: readonly string[]): string {
  return [...new Set([...theirs, ...LOCAL])].join(',');
}

/** Whether a registry is left out of the proxy by one of these hosts (golang.org/x/net/http/httpproxy, `NoProxy`). */
export function isLeftOut(registry: RegistryHost, noProxy: readonly string[]): boolean {
  const { hostname, port } = registryEndpoint(registry);
  return noProxy.some((entry) => {
    if (entry === '*') return true;
    const [, host = '', entryPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (entryPort !== undefined && Number(entryPort) !== port) return false;
    // `.example` is for names below it, `example` for itself too; `*.example` is `.example`.
    const name = host.replace(/^\*/, '');
    return name.startsWith('.') ? hostname.endsWith(name) : hostname === name || hostname.endsWith(`.${name}`);
  });
}

/** A proxy's address as it can be shown: it may hold a password. */
export function withoutCredentials(proxy: string): string {
  return proxy.replace(/\/\/[^/@]*@/, '//…@');
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
