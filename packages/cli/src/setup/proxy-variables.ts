import { BlockList, isIP } from 'node:net';
import { type RegistryHost, registryEndpoint } from '@sealift/core';
import { isLoopbackAddress } from '@sealift/proxy';

/** What never goes to a proxy. Go leaves loopback out by itself; other programs that inherit the variables do not. */
const LOCAL = ['localhost', '127.0.0.1', '::1'];

/** The proxy that an environment names for HTTPS, as Go reads it: capital letters first. */
export function httpsProxyOf(variables: ReadonlyMap<string, string>): string | undefined {
  return nonEmpty(variables.get('HTTPS_PROXY')) ?? nonEmpty(variables.get('https_proxy'));
}

/** The hosts that an environment leaves out of the proxy. */
export function noProxyOf(variables: ReadonlyMap<string, string>): string[] {
  return splitNoProxy(nonEmpty(variables.get('NO_PROXY')) ?? nonEmpty(variables.get('no_proxy')) ?? '');
}

/** The hosts in the text of `NO_PROXY`. */
export function splitNoProxy(text: string): string[] {
  return text
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');
}

/** `NO_PROXY` with what an administrator has there already. */
export function mergeNoProxy(theirs: readonly string[]): string {
  return [...new Set([...theirs, ...LOCAL])].join(',');
}

/** Whether Go sends requests to a registry past any proxy, whatever its environment says: it is this machine itself. */
export function isNeverProxied(registry: RegistryHost): boolean {
  const { hostname } = registryEndpoint(registry);
  return hostname === 'localhost' || isLoopbackAddress(hostname);
}

/** Whether a registry is left out of the proxy by one of these hosts (golang.org/x/net/http/httpproxy, `NoProxy`). */
export function isLeftOut(registry: RegistryHost, noProxy: readonly string[]): boolean {
  const { hostname, port } = registryEndpoint(registry);
  return noProxy.some((entry) => {
    if (entry === '*') return true;
    const text = entry.toLowerCase();
    if (isIP(hostname) !== 0 && isAddressIn(hostname, text)) return true;
    const [, host = '', entryPort] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
    if (entryPort !== undefined && Number(entryPort) !== port) return false;
    const address = host.replace(/^\[|\]$/g, '');
    if (isIP(address) !== 0) return isIP(hostname) !== 0 && isAddressIn(hostname, address);
    // `.example` is for names below it, `example` for itself too; `*.example` is `.example`.
    const name = host.replace(/^\*/, '');
    return name.startsWith('.') ? hostname.endsWith(name) : hostname === name || hostname.endsWith(`.${name}`);
  });
}

/** A proxy's address as it can be shown: it may hold a password, also where no scheme stands before it. */
export function withoutCredentials(proxy: string): string {
  return proxy.replace(/^((?:[^/@]*:)?\/\/)?.*@/, '$1…@');
}

/** Whether an IP address is `text`, in whichever spelling, or in the network that `text` is; a name is nobody's. */
function isAddressIn(address: string, text: string): boolean {
  const [network = '', prefix, ...more] = text.split('/');
  const version = isIP(network);
  if (version === 0 || more.length > 0) return false;
  const family = version === 6 ? 'ipv6' : 'ipv4';
  const block = new BlockList();
  if (prefix === undefined) block.addAddress(network, family);
  else if (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 6 ? 128 : 32)) {
    block.addSubnet(network, Number(prefix), family);
  }
  return block.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
