import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Fault } from '../fault.ts';

const run = promisify(execFile);

/** An idle process has 28 to 35 of them open: what is left is less than a pull of many layers takes. */
const MAX_DESCRIPTORS = 48;
const LAYERS = Array.from({ length: 12 }, () => 1_000_000);

/** `ulimit -n` of somebody who meant well. */
export const fewDescriptors: Fault = {
  name: 'few-descriptors',
  summary: 'tracker and a node, front and engine, may have 48 files and sockets open at once',
  play: async (stage) => {
    const pids = [stage.cluster.tracker.service.pid, stage.node('n1').service.pid, ...stage.enginePids('n1')];
    for (const pid of pids) await run('prlimit', [`--pid=${pid}`, `--nofile=${MAX_DESCRIPTORS}:${MAX_DESCRIPTORS}`]);
    await stage.pull(await stage.publish(LAYERS));
    await stage.pull(await stage.publish([4_000_000]));
    stage.expect(stage.logged('n1', 'engine_exited').length === 0, 'the engine did not survive it');
    stage.expect(stage.logged('n1', 'fatal').length === 0, 'somebody did not reckon with it');
  },
};
