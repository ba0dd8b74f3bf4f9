import { systemClock } from '@sealift/core';
import { writeSecretFile } from '@sealift/pki';
import type { ConfigOf } from '../config.ts';
import type { TOKEN_OPTIONS } from '../options.ts';
import { openExistingState } from '../tracker-data.ts';

/** `sealift token create`: writes the secret to a file, never to a terminal, and prints how a node uses it. */
export async function runTokenCreate(config: ConfigOf<typeof TOKEN_OPTIONS>): Promise<void> {
  const state = await openExistingState(config, systemClock);
  try {
    const { id, token, expiresAt } = state.joinTokens.create({ isReusable: config.reusable, ttlMs: config.ttl });
    await writeSecretFile(config.out, `${token}\n`);
    const line = {
      tracker: `${state.origin ?? 'https://<tracker>:7443'}#${state.ca.fingerprint}`,
      tokenFile: config.out,
      tokenId: id,
      isReusable: config.reusable,
      expiresAt: new Date(expiresAt).toISOString(),
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  } finally {
    state.close();
  }
}
