import { Scope } from '../bench/harness/scope.ts';
import type { Fault, FaultRow } from './fault.ts';
import { Stage } from './stage.ts';

/** Plays a fault on a stage of its own and judges what came of it. Rejects only for what is no fault of the product. */
export async function runFault(
  fault: Fault,
  { nodes, seed, hasDocker = false, signal }: { nodes: number; seed: number; hasDocker?: boolean; signal: AbortSignal },
): Promise<FaultRow> {
  await using scope = new Scope({ signal });
  await using stage = await Stage.start({ nodes, hasDocker, ...fault.setting }, { scope, seed });
  await fault.play(stage);
  return await stage.row(fault.name);
}
