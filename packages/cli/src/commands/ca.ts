import { AppError, systemClock } from '@sealift/core';
import type { TrackerState } from '@sealift/tracker';
import type { ConfigOf } from '../config.ts';
import type { CA_OPTIONS, CA_RETIRE_OPTIONS } from '../options.ts';
import { withTrackerState } from '../tracker-data.ts';

/** `sealift ca status`: which CAs count, and whom a rotation waits for. */
export async function runCaStatus(config: ConfigOf<typeof CA_OPTIONS>): Promise<void> {
  await withTrackerState(config, systemClock, async ({ state }) => print(state));
}

/** `sealift ca rotate`: makes the next CA. The running tracker has it trusted, and later lets it sign. */
export async function runCaRotate(config: ConfigOf<typeof CA_OPTIONS>): Promise<void> {
  await withTrackerState(config, systemClock, async ({ state, audit }) => {
    await state.cas.introduce();
    audit.record('ca_introduced', { fingerprint: state.cas.newest.fingerprint });
    print(state);
  });
}

/** `sealift ca retire`: ends the trust in the old CA, once nobody needs it any more or by force. */
export async function runCaRetire(config: ConfigOf<typeof CA_RETIRE_OPTIONS>): Promise<void> {
  await withTrackerState(config, systemClock, async ({ state, audit }) => {
    const { shown, stage } = state.cas;
    if (stage === 'none') {
      throw new AppError('CONFIG_INVALID', {
        reason: 'there is one CA only',
        advice: '`sealift ca rotate` makes the next.',
      });
    }
    const { nodes, until } = waitingOf(state);
    if (!config.force && (stage === 'introduced' || nodes > 0)) {
      throw new AppError('CONFIG_INVALID', {
        reason: `${nodes} nodes still depend on the old CA, and its successor ${stage === 'activated' ? 'signs' : 'does not sign yet'}`,
        advice:
          until === 0
            ? 'Let the tracker run: it lets the new CA sign when all nodes know it.'
            : `They renew until ${new Date(until).toISOString()}; with --force they have to enrol again.`,
      });
    }
    await state.cas.retire();
    audit.record('ca_retired', { fingerprint: shown.fingerprint, isForced: config.force, nodes });
    print(state);
  });
}

function print(state: TrackerState): void {
  const { stage, shown, newest } = state.cas;
  const { nodes, until } = waitingOf(state);
  const line = {
    stage,
    fingerprint: newest.fingerprint,
    ...(shown === newest ? {} : { old: shown.fingerprint }),
    issuing: state.ca.fingerprint,
    nodesThatNeedTheOld: nodes,
    ...(until === 0 ? {} : { atTheLatestUntil: new Date(until).toISOString() }),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Whom the old CA is kept for: before the new one signs, all who have not heard of it or hold a certificate of the old. */
function waitingOf({ cas, nodes }: TrackerState): { nodes: number; until: number } {
  return cas.stage === 'none' ? { nodes: 0, until: 0 } : nodes.notIssuedBy(cas.newest.fingerprint);
}
