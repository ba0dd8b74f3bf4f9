import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Clock } from '@sealift/core';
import { readSecretFile } from '@sealift/pki';
import { AuditFile, type AuditWriter, openTrackerState, type TrackerState } from '@sealift/tracker';
import { createProcessLogger } from './logging.ts';

/** The part of a configuration that says where a tracker keeps its state. */
export interface TrackerData {
  readonly data: string;
  readonly caPassphraseFile: string | undefined;
}

/** The passphrase of the CA key, if one is configured; throws `KEY_FILE_UNSAFE`. */
export async function readPassphrase({ caPassphraseFile }: TrackerData): Promise<string | undefined> {
  return caPassphraseFile === undefined ? undefined : (await readSecretFile(caPassphraseFile)).replace(/\r?\n$/, '');
}

/** The state of a tracker that has run before; it may be running now. Throws `CONFIG_INVALID` where there is none. */
export async function openExistingState(config: TrackerData, clock: Clock): Promise<TrackerState> {
  try {
    // Not the directory alone: a database made by mistake would be a cluster of its own.
    await access(join(config.data, 'tracker.sqlite'));
  } catch (error) {
    const advice = 'Start `sealift tracker` with this data directory first.';
    throw new AppError('CONFIG_INVALID', { reason: `there is no tracker in ${config.data}`, advice }, { cause: error });
  }
  return await openTrackerState({ dataDirectory: config.data, passphrase: await readPassphrase(config), clock });
}

/** Runs `work` on the state of a tracker that has run before, with its audit log, and closes both. */
export async function withTrackerState(
  config: TrackerData,
  clock: Clock,
  work: (parts: { state: TrackerState; audit: AuditWriter }) => Promise<void>,
): Promise<void> {
  const state = await openExistingState(config, clock);
  try {
    const log = createProcessLogger('error', 'cli');
    const audit = new AuditFile({ directory: config.data, clock, log });
    await audit.start();
    try {
      await work({ state, audit });
    } finally {
      await audit.stop();
    }
  } finally {
    state.close();
  }
}
