import type { Fault } from '../fault.ts';

/** The half of a node that talks to strangers ends; the half that the runtime talks to must not notice. */
export const engineKilled: Fault = {
  name: 'engine-killed',
  summary: 'the engine process of a node is killed in mid-pull, and shares again for the next pull',
  fitsDocker: true,
  play: async (stage) => {
    const { pulls } = await stage.midPull();
    for (const pid of stage.enginePids('n1')) process.kill(pid, 'SIGKILL');
    await pulls;
    stage.expect(stage.logged('n1', 'engine_exited').length === 1, 'the engine did not end');
    await stage.engineRuns('n1');
    await stage.pull(await stage.publish([4_000_000]));
  },
};

/** It may also hang: then its channel stays open, and only its silence tells. */
export const engineFrozen: Fault = {
  name: 'engine-frozen',
  summary: 'the engine process of a node is stopped (SIGSTOP) in mid-pull, and goes on for the next pull',
  fitsDocker: true,
  play: async (stage) => {
    const { pulls } = await stage.midPull();
    const pids = stage.enginePids('n1');
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await pulls;
    stage.expect(stage.logged('n1', 'engine_failed').length > 0, 'nobody noticed that it hangs');
    for (const pid of stage.enginePids('n1').filter((pid) => pids.includes(pid))) process.kill(pid, 'SIGCONT');
    await stage.engineRuns('n1');
    const joined = stage.logged('n1', 'swarm_joined').length;
    await stage.pull(await stage.publish([4_000_000]));
    stage.expect(stage.logged('n1', 'swarm_joined').length > joined, 'it does not share any more');
  },
};

/** A whole node ends without notice; its own pull is lost, and only that one. */
export const nodeKilled: Fault = {
  name: 'node-killed',
  summary: 'a node is killed in mid-pull of the others, starts again on what it left, and goes on from there',
  play: async (stage) => {
    const image = await stage.publish();
    const [victim = '', ...others] = stage.names;
    // Its client dies with its proxy, so that is no pull that counts.
    const lost = stage.attempt(image, victim);
    const pulls = stage.pull(image, others);
    await stage.reached(others[0] ?? '', stage.someByteOf(image));
    await stage.node(victim).service.stop({ signal: 'SIGKILL' });
    await lost;
    await stage.startNode(victim);
    await pulls;
    await stage.pull(image, [victim]);
    stage.expect((await stage.extraRegistryBytes()) <= 0, 'a restarted node made the registry send more');
  },
};
