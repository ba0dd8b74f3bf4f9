import type { Fault } from '../fault.ts';
import { filter, PORTS } from './cut.ts';

/** Time without a link, in ms: long enough for TCP to notice, short enough that connections survive. */
const CUT_MS = 3_000;

/** The tracker's cable is pulled and plugged in again. */
export const linkCut: Fault = {
  name: 'link-cut',
  summary: 'the link of the tracker and seeder is cut in mid-pull, and restored after three seconds',
  fitsDocker: true,
  play: async (stage) => {
    const { network } = stage.cluster.testbed;
    const { pulls } = await stage.midPull();
    await network.cut('tracker');
    await stage.pause(CUT_MS);
    await network.restore('tracker');
    await pulls;
  },
};

/** What a node sends arrives, what is sent to it does not: the worst kind, for its peers see a living one. */
export const oneWayCut: Fault = {
  name: 'one-way-cut',
  summary: 'a node hears nothing of seeder, tracker and peers any more, while they hear it',
  fitsDocker: true,
  play: async (stage) => {
    const { pulls } = await stage.midPull();
    const { address } = stage.host('registry');
    await filter(stage.host('n1'), ['-i', 'eth0', '!', '-s', address, '-j', 'DROP']);
    await pulls;
  },
};

/** A firewall that the operator forgot: the node can dial and cannot be dialled. */
export const peerPortUnreachable: Fault = {
  name: 'peer-port-unreachable',
  summary: 'nobody can dial the peer port of a node that holds the blob',
  play: async (stage) => {
    const image = await stage.publish();
    const [first = '', ...rest] = stage.names;
    await filter(stage.host(first), ['-p', 'tcp', '--dport', `${PORTS.peer}`, '--syn', '-j', 'DROP']);
    await stage.pull(image, [first]);
    await stage.pull(image, rest);
    stage.expect((await stage.extraRegistryBytes()) <= 0, 'the registry was asked twice');
  },
};

/** A lease ends, or a laptop moves: the old address of a node is nobody's from one moment to the next. */
export const addressChange: Fault = {
  name: 'address-change',
  summary: 'the address of a node changes in mid-pull',
  play: async (stage) => {
    const image = await stage.publish();
    const host = stage.host('n1');
    const pulls = stage.pull(image);
    await stage.reached('n1', stage.someByteOf(image));
    await host.runOrThrow(['ip', 'address', 'del', `${host.address}/24`, 'dev', 'eth0']);
    await host.runOrThrow(['ip', 'address', 'add', '10.77.0.200/24', 'dev', 'eth0']);
    await pulls;
    await stage.pull(await stage.publish([4_000_000]));
  },
};
