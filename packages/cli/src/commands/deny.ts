import { AppError, parseNodeId, systemClock } from '@sealift/core';
import type { ConfigOf } from '../config.ts';
import type { DENY_OPTIONS } from '../options.ts';
import { withTrackerState } from '../tracker-data.ts';

type Config = ConfigOf<typeof DENY_OPTIONS>;
type Context = { readonly args: readonly string[] };

/** `sealift deny NODE-ID`: the running tracker notices at the next call of any node. */
export async function runDeny(config: Config, { args: [nodeId = ''] }: Context): Promise<void> {
  await withTrackerState(config, systemClock, async ({ state, audit }) => {
    const id = parseNodeId(nodeId);
    if (state.nodes.get(id) === undefined) {
      throw new AppError('CONFIG_INVALID', {
        reason: `no node ${id} was ever enrolled here`,
        advice: 'Its id stands in the audit log.',
      });
    }
    const isNew = state.denyList.deny(id);
    if (isNew) audit.record('node_denied', { nodeId: id });
    process.stdout.write(isNew ? `${id} is denied\n` : `${id} was denied already\n`);
  });
}

/** `sealift allow NODE-ID`: takes back a denial. */
export async function runAllow(config: Config, { args: [nodeId = ''] }: Context): Promise<void> {
  await withTrackerState(config, systemClock, async ({ state, audit }) => {
    const id = parseNodeId(nodeId);
    const isNew = state.denyList.allow(id);
    if (isNew) audit.record('node_allowed', { nodeId: id });
    process.stdout.write(isNew ? `${id} is allowed again\n` : `${id} was not denied\n`);
  });
}
