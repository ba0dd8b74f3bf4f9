import { systemClock } from '@sealift/core';
import { writeSecretFile } from '@sealift/pki';
import type { ConfigOf } from '../config.ts';
import type { TOKEN_OPTIONS } from '../options.ts';
import { withTrackerState } from '../tracker-data.ts';

/** `sealift token create`: writes the secret to a file, never to a terminal, and prints how a node uses it. */
export async function runTokenCreate(config: ConfigOf<typeof TOKEN_OPTIONS>): Promise<void> {
  await withTrackerState(config, systemClock, async ({ state, audit }) => {
    const { id, token, expiresAt } = state.joinTokens.create({ isReusable: config.reusable, ttlMs: config.ttl });
    audit.record('token_created', { tokenId: id, isReusable: config.reusable, expiresAt });
    await writeSecretFile(config.out, `${token}\n`);
    const line = {
      tracker: `${state.origin ?? 'https://<tracker>:7443'}#${state.cas.newest.fingerprint}`,
      tokenFile: config.out,
      tokenId: id,
      isReusable: config.reusable,
      expiresAt: new Date(expiresAt).toISOString(),
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  });
}
