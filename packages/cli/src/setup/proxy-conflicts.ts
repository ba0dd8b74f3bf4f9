import type { RegistryHost } from '@sealift/core';
import { isLeftOut, isNeverProxied, withoutCredentials } from './proxy-variables.ts';

/** What a runtime is told of proxies, and where. */
interface ProxySettings {
  /** As people call the runtime. */
  readonly runtime: string;
  /** The node's proxy. */
  readonly address: string;
  /** The proxy for HTTPS that the runtime is told of, if it is. */
  readonly proxy: string | undefined;
  readonly noProxy: readonly string[];
  /** The files that say so. */
  readonly places: { readonly proxy: string; readonly noProxy: string };
}

/** Why a runtime would go past the node for some of `registries`, each with the file at fault. */
export function proxyConflicts(
  registries: readonly RegistryHost[],
  { runtime, address, proxy, noProxy, places }: ProxySettings,
): string[] {
  const problems: string[] = [];
  if (proxy !== undefined && !isSameAddress(proxy, address)) {
    problems.push(
      `${places.proxy}: ${runtime} uses the proxy ${withoutCredentials(proxy)} already. ` +
        'The node does not go through another proxy: take that one out first, or set up a host that reaches its registries directly',
    );
  }
  for (const registry of registries) {
    if (isNeverProxied(registry)) {
      problems.push(
        `--registry: ${registry} is this machine itself, for which ${runtime} uses no proxy: ` +
          'give the registry a name that leads to an address of the network',
      );
    } else if (isLeftOut(registry, noProxy)) {
      problems.push(
        `${places.noProxy}: NO_PROXY leaves ${registry} out, so ${runtime} would go past the node: ` +
          'take it out of NO_PROXY, or out of --registry',
      );
    }
  }
  return problems;
}

/** Whether two URLs of a proxy or a mirror are one, with and without the slash at the end. */
export function isSameAddress(a: string, b: string): boolean {
  return a.replace(/\/$/, '') === b.replace(/\/$/, '');
}
