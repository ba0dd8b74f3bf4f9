import { access, constants, stat, statfs } from 'node:fs/promises';
import { errnoOf } from '../failure.ts';
import type { Check } from './examination.ts';
import { fail, ok, warn } from './finding.ts';
import { nodeOf, type Subject } from './subject.ts';

/** Free bytes below which a disk counts as full: a piece and what is written about it. */
const FULL_BYTES = 32 * 2 ** 20;

/** What the check asks of the file system; a test stands in for it. */
export interface DiskView {
  readonly mode: number;
  /** The error of a try to write there. */
  readonly refusal: string | undefined;
  readonly freeBytes: number;
}

/** Whether the node can keep blobs. */
export function diskCheck(subject: Subject, look: (directory: string) => Promise<DiskView> = lookAt): Check {
  return {
    id: 'disk',
    needs: ['node'],
    examine: async () => {
      const { data } = subject;
      const { node, settings } = nodeOf(subject);
      const { mode, refusal, freeBytes } = await look(data);
      if (refusal === 'EROFS')
        return fail(
          `The file system of ${data} is read-only, so the node keeps nothing.`,
          `Mount it writable, or see why it is not: dmesg | tail, findmnt -T ${data}`,
        );
      if (refusal !== undefined)
        return fail(`${data} cannot be written to (${refusal}).`, `See whose it is: ls -ld ${data}`);
      if ((mode & 0o077) !== 0) {
        return fail(`${data} is open to other users, who could read private blobs.`, `Type: chmod 700 ${data}`);
      }
      const used = node.store?.usedBytes ?? 0;
      const promised = Math.max(0, settings.quota - used);
      const sizes = `${gib(used)} of ${gib(settings.quota)} are used`;
      if (freeBytes < FULL_BYTES) {
        return fail(
          `The disk of ${data} is full, so the node passes blobs on without keeping them.`,
          `Free some space: df -h ${data}`,
        );
      }
      if (freeBytes < promised) {
        return warn(
          `${sizes}, but the disk has only ${gib(freeBytes)} left of the ${gib(promised)} that the quota still promises.`,
          `Start the node with a smaller --quota, or free some space: df -h ${data}`,
        );
      }
      return ok(`${sizes}, and the disk has room for the rest.`);
    },
  };
}

async function lookAt(directory: string): Promise<DiskView> {
  const [{ mode }, { bavail, bsize }] = await Promise.all([stat(directory), statfs(directory)]);
  const refusal = await access(directory, constants.W_OK).then(
    () => undefined,
    (error: unknown) => errnoOf(error) ?? 'unknown',
  );
  return { mode, refusal, freeBytes: bavail * bsize };
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
