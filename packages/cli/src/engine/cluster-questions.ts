import { type BlobRef, isAppError, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import type { ConfigOf } from '../config.ts';
import type { NODE_OPTIONS } from '../options.ts';
import type { Sharing } from '../sharing.ts';

/** Longest wait for the tracker, in ms: it dials for three seconds, and asks the registry for ten. */
const TIMEOUT_MS = 11_000;

/** What `sealift doctor` asks the cluster through this node, which alone has a certificate. Never rejects. */
export async function askCluster(
  { about, body = {} }: { about: string; body?: Record<string, unknown> | undefined },
  { sharing, config }: { sharing: Sharing | undefined; config: Pick<ConfigOf<typeof NODE_OPTIONS>, 'peerAddress'> },
): Promise<Record<string, unknown>> {
  if (sharing?.identity.credentials === undefined) return { error: 'the node is not enrolled' };
  const { client } = sharing.identity;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    if (about === 'reach') {
      const listening = sharing.engine.running?.port;
      if (listening === undefined) return { error: 'the node does not listen for peers' };
      const port = config.peerAddress?.port ?? listening;
      return { port, told: config.peerAddress?.host ?? null, ...(await client.reach({ port }, { signal })) };
    }
    const authorization = body['authorization'];
    const credential = typeof authorization === 'string' ? { authorization } : {};
    const answer = await client.join({ ...blobOf(body), ...credential, intent: 'check' }, { signal });
    // Not the grant that comes along: nobody but this process has a use for it.
    return { verdict: answer.verdict, reason: answer.verdict === 'granted' ? null : answer.reason };
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { error: String(error.details['code'] ?? error.details['reason'] ?? error.code) };
  }
}

function blobOf({ registry, repository, digest }: Record<string, unknown>): BlobRef {
  return {
    registry: parseRegistryHost(String(registry)),
    repository: parseRepository(String(repository)),
    digest: parseDigest(String(digest)),
  };
}
