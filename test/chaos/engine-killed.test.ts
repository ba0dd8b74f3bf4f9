import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { KilledEngineScene } from './killed-engine.ts';

const MIB = 1024 * 1024;
/** Uplink of the registry in bytes per second: the layer takes two seconds, so that an end finds it under way. */
const REGISTRY_RATE = 8 * MIB;
const LAYER_BYTES = 16 * MIB;
/** Ends in a row, each while a pull is under way. */
const KILLS = 3;

suite('an engine that is killed', () => {
  let scene: KilledEngineScene;
  before(async () => {
    scene = await KilledEngineScene.start({ registryRate: REGISTRY_RATE });
  });
  after(() => scene?.stop());

  /** Pulls, and does something once `afterBytes` have come, by default kill the engine. */
  async function pullAnd(tag: string, afterBytes: number, strike = () => scene.killEngine()): Promise<void> {
    let [received, struck]: [number, Promise<void> | undefined] = [0, undefined];
    await scene.pull(tag, (bytes) => {
      received += bytes;
      if (received >= afterBytes) struck ??= strike();
    });
    assert.ok(struck, 'the pull was over too soon');
    await struck;
  }

  test('costs the pull that is under way nothing but bytes of the registry, inside the same response', async () => {
    const image = await scene.publish(LAYER_BYTES);
    const [sentBefore, servedBefore] = [await scene.atRegistry(), await scene.served()];
    await pullAnd(image.tag, 4 * MIB);
    const [sent, served] = [await scene.atRegistry(), await scene.served()];
    const [peers, registry] = [served.peers - servedBefore.peers, served.registry - servedBefore.registry];
    assert.ok(peers >= 4 * MIB && registry > 0, `${peers} of peers, ${registry} of the registry`);
    assert.equal(peers + registry, image.bytes);
    // The seeder reads the blob once, whoever is there; what the node fetched itself is all that it cost.
    assert.ok(sent.blobBytes - sentBefore.blobBytes <= image.bytes + registry);
    const [exit] = await scene.logged('engine_exited');
    assert.equal(exit?.['signal'], 'SIGKILL');
  });

  test('is there again for the next pull', async () => {
    await scene.engineRuns();
    const nodeId = await scene.nodeId();
    await scene.killEngine();
    await scene.engineRuns();
    // A join token may be good for one enrolment only.
    assert.equal(await scene.nodeId(), nodeId);
    assert.ok((await scene.swarms()) > 0, 'it shares what it shared before, with nobody asking for it here');
    const image = await scene.publish(LAYER_BYTES / 4);
    const before = await scene.served();
    await scene.pull(image.tag);
    const served = await scene.served();
    assert.equal(served.peers - before.peers, image.bytes);
  });

  test(`${KILLS} times in a row fails no pull`, async () => {
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const image = await scene.publish(LAYER_BYTES / 4);
      await scene.engineRuns();
      await pullAnd(image.tag, (kill / (KILLS + 1)) * (LAYER_BYTES / 4));
    }
    assert.ok((await scene.engine()).restarts >= KILLS);
  });

  test('leaves tunnels and everything else to the front alone', async () => {
    await scene.killEngine();
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const path = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      const request = http.request({ ...scene.node.proxy, method: 'CONNECT', path, agent: false }).end();
      const [response, socket] = (await once(request, 'connect')) as [http.IncomingMessage, { destroy(): void }];
      assert.equal(response.statusCode, 200);
      socket.destroy();
    } finally {
      server.close();
    }
  });

  test('has nothing on a node that is asked to end: the pull that is under way comes whole from peers', async () => {
    await scene.engineRuns();
    const image = await scene.publish(LAYER_BYTES);
    const before = await scene.atRegistry();
    await pullAnd(image.tag, 4 * MIB, () => scene.endNode());
    const sent = await scene.atRegistry();
    // The one read of the seeder, and nothing that the node had to fetch itself.
    assert.equal(sent.blobBytes - before.blobBytes, image.bytes);
    await scene.untilLogged('stopped', 1, scene.node.name, async () => {});
  });
});
