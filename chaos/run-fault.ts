import { Scope } from '../bench/harness/scope.ts';
import type { Fault, FaultRow } from './fault.ts';
import { Stage } from './stage.ts';

/**
 * Plays a fault on a stage of its own and judges what came of it. One that does not come to its end is judged by what there
 * is, and by why. Rejects where the stage could not be set up or taken down, or for `signal`.
 */
export async function runFault(
  fault: Fault,
  { nodes, seed, hasDocker = false, signal }: { nodes: number; seed: number; hasDocker?: boolean; signal: AbortSignal },
): Promise<FaultRow> {
  await using scope = new Scope({ signal });
  await using stage = await Stage.start({ nodes, hasDocker, ...fault.setting }, { scope, seed });
  try {
    await fault.play(stage);
  } catch (error) {
    signal.throwIfAborted();
    stage.expect(false, error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return await stage.row(fault.name);
}
