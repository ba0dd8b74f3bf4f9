/**
 * Loaded into each process of a soak before anything else (`NODE_OPTIONS=--import`): on SIGUSR2 it writes down what the
 * process holds, after a collection of garbage, so that what grows is told from what is yet to be collected.
 */
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

const directory = process.env['SOAK_PROBE_DIRECTORY'];
if (isMainThread && directory !== undefined) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const file = path.join(directory, `${process.pid}.json`);
  let looks = 0;
  const write = (): void => {
    const resources: Record<string, number> = {};
    for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
    const heapMiB = process.memoryUsage().heapUsed / 2 ** 20;
    writeFileSync(`${file}.tmp`, JSON.stringify({ looks, heapMiB, resources }));
    renameSync(`${file}.tmp`, file);
  };
  process.on('SIGUSR2', () => {
    collect();
    looks += 1;
    write();
  });
  // Whoever sends the signal before the handler stands ends the process, so the file says that it does.
  write();
}
