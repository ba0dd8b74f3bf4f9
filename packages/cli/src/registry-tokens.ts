import { type Clock, isAppError, type Logger, type RegistryHost } from '@sealift/core';
import { isTrustedChain } from '@sealift/pki';
import {
  KeyFile,
  type RegistryClient,
  type RegistryConfig,
  type RegistryTokenConfig,
  RegistryTokens,
} from '@sealift/registry';
import type { ConfigOf } from './config.ts';
import { errnoOf, refuse } from './failure.ts';
import type { NODE_OPTIONS } from './options.ts';

/** Something that is said of one registry. */
type OfRegistry<T> = T & { readonly registry: RegistryHost };

type Config = Pick<ConfigOf<typeof NODE_OPTIONS>, 'registry' | 'registryTokenKeys' | 'registryTokenIssuer'>;

/** What the options say of one registry's tokens, whose files can change. */
type FileTokenConfig = RegistryTokenConfig & { readonly keySets: readonly KeyFile[] };

/** What the options say of the registries' tokens, files read. Throws one `CONFIG_INVALID` that names every problem. */
export async function loadTokenConfigs(config: Config): Promise<readonly FileTokenConfig[]> {
  const problems: string[] = [];
  const check = (flag: string, { registry }: OfRegistry<object>): void => {
    if (config.registry.includes(registry)) return;
    problems.push(`${flag}: ${registry} is not among the registries; give --registry ${registry} too`);
  };
  for (const entry of config.registryTokenKeys) check('--registry-token-keys', entry);
  for (const entry of config.registryTokenIssuer) check('--registry-token-issuer', entry);
  const configs = await Promise.all(
    [...new Set(config.registry)].map(async (registry) => {
      const sources = config.registryTokenKeys.filter((entry) => entry.registry === registry);
      const files = sources.filter(({ source }) => !source.startsWith('https://'));
      const keySets = await Promise.all(files.map(({ source }) => readKeys(source, problems)));
      const issuers = config.registryTokenIssuer.filter((entry) => entry.registry === registry);
      if (issuers.length > 1) problems.push(`--registry-token-issuer: more than one for ${registry}`);
      return {
        registry,
        keySets: keySets.filter((set) => set !== undefined),
        keyUrls: sources.filter((entry) => !files.includes(entry)).map(({ source }) => new URL(source)),
        issuer: issuers[0]?.issuer,
      };
    }),
  );
  const [first, ...others] = problems;
  if (first === undefined) return configs;
  const [flag = '', ...reason] = [first, ...others].join('\n  ').split(': ');
  refuse(flag, reason.join(': '));
}

/** The judge of registry tokens of this process, which follows the files. */
export function registryTokens(
  tokens: readonly FileTokenConfig[],
  {
    registries,
    client,
    clock,
    log,
  }: { registries: readonly RegistryConfig[]; client: RegistryClient; clock: Clock; log: Logger },
): RegistryTokens {
  for (const { keySets } of tokens)
    for (const file of keySets) file.follow({ clock, log, failureEvent: 'registry_keys_failed' });
  return new RegistryTokens({ registries, tokens, prober: client, verifyChain: isTrustedChain, clock, log });
}

async function readKeys(path: string, problems: string[]): Promise<KeyFile | undefined> {
  const say = (reason: string): undefined => {
    problems.push(`--registry-token-keys: ${path}: ${reason}`);
    return undefined;
  };
  try {
    return await KeyFile.open(path);
  } catch (error) {
    if (isAppError(error, 'CONFIG_INVALID')) return say(String(error.details['reason']));
    return say(`cannot be read (${errnoOf(error)})`);
  }
}
