import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createContentSigner, createContentVerifier } from '@sealift/bittorrent';
import { AppError, isAppError, systemClock } from '@sealift/core';
import { checkStore, type StoreCheckProgress, type StoreReport } from '@sealift/store';
import type { ConfigOf } from '../config.ts';
import { lockDataDirectory } from '../data-directory.ts';
import { HashInspector } from '../hash-inspector.ts';
import type { STORE_VERIFY_OPTIONS } from '../options.ts';
import { openExistingState } from '../tracker-data.ts';

/** How often a check that takes long says how far it is, in ms. */
const PROGRESS_INTERVAL_MS = 5_000;

type Config = ConfigOf<typeof STORE_VERIFY_OPTIONS>;

/** `sealift store verify`: what is wrong with the blobs in a data directory. Throws `STORE_DAMAGED` if anything stays so. */
export async function runStoreVerify(config: Config, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const isTracker = await isThere(join(config.data, 'tracker.sqlite'));
  const directory = join(config.data, isTracker ? 'seeder' : 'blobs');
  if (!(await isThere(directory))) {
    const advice = 'Name the data directory of a node or a tracker with --data.';
    throw new AppError('CONFIG_INVALID', { reason: `there is no store in ${config.data}`, advice });
  }
  const inspector = isTracker ? await inspectorOf(config) : new HashInspector();
  // A front whose engine is just being started again has the directory, and nobody the store.
  const lock = isTracker ? undefined : await lockDataDirectory(config.data);
  let report: StoreReport;
  try {
    report = await checkStore({
      directory,
      quotaBytes: config.quota,
      isRepairing: config.repair,
      inspectHashes: inspector.inspect,
      onProgress: progressLines(),
      signal,
    });
  } catch (error) {
    if (signal.aborted && !isAppError(error))
      throw new AppError('STORE_CLOSED', { reason: 'the check was ended early' });
    throw error;
  } finally {
    await lock?.release();
  }
  const { findings, ...counts } = report;
  const left = findings.filter(({ kind, isMended }) => kind === 'problem' && !isMended).length;
  if (config.json) {
    const hashLists = { signed: inspector.signed, ofOtherKeys: inspector.ofOtherKeys };
    print(JSON.stringify({ store: directory, isSound: left === 0, ...counts, hashLists, findings }));
  } else describe(directory, report, inspector);
  if (left > 0) {
    const advice = config.repair
      ? 'Take away by hand what is not of the store.'
      : 'Run it with --repair to mend the store.';
    throw new AppError('STORE_DAMAGED', { reason: `${left} problems`, advice });
  }
}

/** Knows the cluster and its content key, from the tracker's own database. */
async function inspectorOf(config: Config): Promise<HashInspector> {
  const state = await openExistingState(config, systemClock);
  try {
    const { keyId } = createContentSigner(state.contentKey.privateKey);
    const verifier = createContentVerifier([state.contentKey.publicJwk]);
    return new HashInspector({ clusterId: state.clusterId, content: { keyId, verifier } });
  } finally {
    state.close();
  }
}

function describe(directory: string, report: StoreReport, { signed, ofOtherKeys }: HashInspector): void {
  for (const { kind, path, reason, isMended } of report.findings) {
    print(`${kind.padEnd(9)} ${path}: ${reason}${isMended ? ' (mended)' : ''}`);
  }
  const { blobs, completeBlobs, pieces, bytes, usedBytes } = report;
  print(`${directory}: ${blobs} blobs, ${completeBlobs} of them whole; ${pieces} pieces match, ${bytes} bytes hashed`);
  print(`${usedBytes} bytes count against the quota`);
  print(`hash lists: ${signed} records signed by the cluster, ${ofOtherKeys} by keys that are not known here`);
}

function progressLines(): (progress: StoreCheckProgress) => void {
  let toldAt = systemClock.now();
  return ({ blobs, totalBlobs, bytes }) => {
    const now = systemClock.now();
    if (now - toldAt < PROGRESS_INTERVAL_MS) return;
    toldAt = now;
    process.stderr.write(`sealift: ${blobs} of ${totalBlobs} blobs, ${Math.round(bytes / 1e6)} MB hashed\n`);
  };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
