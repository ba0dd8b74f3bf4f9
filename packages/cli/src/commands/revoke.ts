import { type Revocation, systemClock } from '@sealift/core';
import { endOfRevocation } from '@sealift/tracker';
import type { ConfigOf } from '../config.ts';
import { refuse } from '../failure.ts';
import { parsePublicRepository } from '../option-values.ts';
import type { REVOKE_OPTIONS } from '../options.ts';
import { withTrackerState } from '../tracker-data.ts';

/** `sealift revoke`: the running tracker notices at the next call of any node, or within seconds. */
export async function runRevoke(
  config: ConfigOf<typeof REVOKE_OPTIONS>,
  { args: [name] }: { readonly args: readonly (string | undefined)[] },
): Promise<void> {
  if ((name === undefined) !== config.list || (config.list && config.digest !== undefined)) {
    refuse('--list', 'name a registry and a repository, or ask for the list, not both');
  }
  const right = name === undefined ? undefined : { ...parsePublicRepository(name), digest: config.digest };
  await withTrackerState(config, systemClock, async ({ state, audit }) => {
    if (right === undefined) {
      for (const revocation of state.revocations.list()) print(revocation);
      return;
    }
    const revocation = state.revocations.revoke(right);
    audit.record('grants_revoked', { ...right });
    print(revocation);
  });
}

function print(revocation: Revocation): void {
  const { registry, repository, digest, provenBefore } = revocation;
  const line = {
    registry,
    repository,
    ...(digest === undefined ? {} : { digest }),
    provenBefore: new Date(provenBefore).toISOString(),
    countsUntil: new Date(endOfRevocation(revocation)).toISOString(),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
