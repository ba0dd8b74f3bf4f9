import type { RegistryHost } from '@sealift/core';
import type { ProbeAnswer } from '../probe.ts';
import { type CompactToken, withBrokenSignature } from './compact-token.ts';

/** The path that every registry answers to whoever it knows, whatever that one may read (distribution-spec § API). */
export const BASE_PATH = '/v2/';

/** What the proof asks a registry with; `RegistryClient` fits. */
export interface TokenProber {
  /** The answer to one request, not followed anywhere. Throws `REGISTRY_UNAVAILABLE`. */
  probe(
    target: { registry: RegistryHost; path: string },
    options: { authorization: string | undefined; signal: AbortSignal },
  ): Promise<ProbeAnswer>;
}

/**
 * Whether the registry accepts this token *for its signature*: it answers well with the token, and with 401 both without
 * it and with a bit of its signature turned. Then the header was signed by a key that the registry believes.
 *
 * Asked at two paths. `path` is what the token was accepted for. `/v2/` is what no owner of a repository can open to the
 * public and close again between two of our questions, which would make a token of their own look accepted (decision 0019).
 * Throws `REGISTRY_UNAVAILABLE` where the registry gives no answer.
 */
export async function isProvenToken(
  token: CompactToken,
  {
    registry,
    path,
    prober,
    signal,
  }: { registry: RegistryHost; path: string; prober: TokenProber; signal: AbortSignal },
): Promise<boolean> {
  const statusOf = async (at: string, text: string | undefined): Promise<number> => {
    const authorization = text === undefined ? undefined : `Bearer ${text}`;
    return (await prober.probe({ registry, path: at }, { authorization, signal })).status;
  };
  const broken = withBrokenSignature(token);
  // The token itself at the base first: whoever shows a forged one costs the registry a single request.
  if ((await statusOf(BASE_PATH, token.text)) !== 200) return false;
  for (const at of [BASE_PATH, path]) {
    if ((await statusOf(at, undefined)) !== 401) return false;
    if ((await statusOf(at, broken)) !== 401) return false;
  }
  // Last of all, and at both: none of the refusals above was the mood of a registry that refuses everybody.
  const accepted = [await statusOf(path, token.text), await statusOf(BASE_PATH, token.text)];
  return isYes(accepted[0]) && accepted[1] === 200;
}

/** Beside 200 a redirect. A gateway that redirects strangers redirects the broken token as well, where a 401 is demanded. */
function isYes(status: number | undefined): boolean {
  return status === 200 || status === 302 || status === 307;
}
