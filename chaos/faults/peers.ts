import type { Fault } from '../fault.ts';
import { PORTS, reset } from './cut.ts';

const SLOW_SEEDER_MEGABITS = 10;

/** Those who hold a blob leave while others fetch it of them. */
export const allPeersGone: Fault = {
  name: 'all-peers-gone',
  summary: 'the seeder and all nodes that hold the blob are killed while another one fetches it of them',
  play: async (stage) => {
    const image = await stage.publish();
    const [late = '', ...early] = stage.names;
    await stage.pull(image, early);
    await stage.cluster.testbed.network.shape(late, { down: 60 });
    const pull = stage.pull(image, [late]);
    await stage.reached(late, stage.someByteOf(image));
    // The engine first: it would take leave of its peers when its front ends.
    for (const name of early) {
      for (const pid of [...stage.enginePids(name), stage.node(name).service.pid]) process.kill(pid, 'SIGKILL');
    }
    await reset(stage.host('tracker'), PORTS.seeder);
    await pull;
  },
};

/** A peer whose host hangs: its connections stay open and bring nothing. */
export const peerFrozen: Fault = {
  name: 'peer-frozen',
  summary: 'the node that others fetch from stops sending (SIGSTOP) and keeps its connections',
  play: async (stage) => {
    const image = await stage.publish();
    const [first = '', ...rest] = stage.names;
    await stage.pull(image, [first]);
    await stage.cluster.testbed.network.shape('tracker', { up: SLOW_SEEDER_MEGABITS });
    await stage.cluster.testbed.network.shape(first, { up: 60 });
    const pulls = stage.pull(image, rest);
    await stage.reached(rest[0] ?? '', stage.someByteOf(image));
    const pids = [stage.node(first).service.pid, ...stage.enginePids(first)];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    stage.defer(async () => {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    });
    await stage.cluster.testbed.network.unshape('tracker');
    await pulls;
    stage.expect((await stage.extraRegistryBytes()) <= 0, 'the registry was asked although the seeder was there');
  },
};
