import { redactText } from '@sealift/core';
import type { Finding } from './finding.ts';

/** Longest time of one check, in ms: the slowest waits for a name service, or for the tracker to give a dial up. */
const CHECK_TIMEOUT_MS = 12_000;

/** One step of the way from the runtime to the registry. */
export interface Check {
  readonly id: string;
  /** Without these it makes no sense: it is skipped if one of them has failed or was skipped. */
  readonly needs: readonly string[];
  /** Looks. `signal` ends the check; what it throws is a fault of the check itself. */
  examine(options: { signal: AbortSignal }): Promise<Finding>;
}

/** A check and what came of it. */
export interface CheckResult {
  readonly id: string;
  readonly status: Finding['status'] | 'skipped';
  readonly finding: string;
  readonly advice?: string;
}

/**
 * Runs the checks one after the other, each with a time limit, and tells of each as it ends. Throws the reason of `signal` if that
 * ends it.
 */
export async function examineAll(
  checks: readonly Check[],
  {
    signal,
    onResult,
    timeoutMs = CHECK_TIMEOUT_MS,
  }: { signal: AbortSignal; onResult: (result: CheckResult) => void; timeoutMs?: number },
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  const unmet = new Set<string>();
  for (const check of checks) {
    const lacking = check.needs.find((need) => unmet.has(need));
    const result =
      lacking === undefined
        ? await examine(check, { signal, timeoutMs })
        : ({ id: check.id, status: 'skipped', finding: `skipped because "${lacking}" is not in order` } as const);
    // What a check says that was cut off is not about the node.
    signal.throwIfAborted();
    if (result.status === 'fail' || result.status === 'skipped') unmet.add(check.id);
    results.push(result);
    onResult(result);
  }
  return results;
}

async function examine(
  check: Check,
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number },
): Promise<CheckResult> {
  const limit = AbortSignal.timeout(timeoutMs);
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  limit.addEventListener('abort', () => resolve('late'), { once: true });
  try {
    const finding = await Promise.race([check.examine({ signal: AbortSignal.any([signal, limit]) }), late]);
    if (finding !== 'late') return { id: check.id, ...finding };
  } catch (error) {
    if (!limit.aborted) {
      const reason = error instanceof Error ? error.message : String(error);
      const advice = 'This is a fault of sealift doctor itself: please report it.';
      return { id: check.id, status: 'fail', finding: redactText(`The check broke: ${reason}`), advice };
    }
  }
  const advice = 'Look for a firewall that drops packets, or try again when the machine is less busy.';
  return { id: check.id, status: 'fail', finding: `No answer within ${timeoutMs / 1000} seconds.`, advice };
}
