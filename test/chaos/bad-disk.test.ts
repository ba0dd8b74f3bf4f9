import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { KilledEngineScene } from './killed-engine.ts';

const MIB = 1024 * 1024;
const LAYER_BYTES = 12 * MIB;
const skip = process.getuid?.() === 0 && process.platform === 'linux' ? false : 'mounting a small tmpfs needs root';

const faults = {
  /** Full in the middle of the layer. */
  full: { options: 'size=6m', mended: 'remount,size=64m' },
  'read-only': { options: 'ro,size=64m', mended: 'remount,rw' },
} as const;

suite('a disk that takes nothing more', { skip }, () => {
  let scene: KilledEngineScene;
  const mounted: string[] = [];
  before(async () => {
    scene = await KilledEngineScene.start({ registryRate: 32 * MIB });
  });
  after(async () => {
    // Lazily, for the processes still have files open there.
    for (const directory of mounted) execFileSync('umount', ['-l', directory]);
    await scene?.stop();
  });

  for (const [who, fault] of [
    ['node', 'full'],
    ['tracker', 'read-only'],
  ] as const) {
    const { options, mended } = faults[fault];
    test(`of the ${who} (${fault}) fails no pull, is said once, and is used again when it can be`, async () => {
      const [name, directory] =
        who === 'node'
          ? [scene.node.name, path.join(scene.node.data, 'blobs', 'blobs')]
          : ['tracker', path.join(scene.trackerData, 'seeder', 'blobs')];
      const count = async (event: string): Promise<number> => (await scene.logged(event, name)).length;
      const [failed, recovered] = [await count('store_disk_failed'), await count('store_disk_recovered')];
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
      mounted.unshift(directory);
      // The client checks every digest; the second pull meets a disk that is known to be bad.
      for (let pull = 0; pull < 2; pull += 1) await scene.pull((await scene.publish(LAYER_BYTES)).tag);
      assert.equal(await count('store_disk_failed'), failed + 1);
      execFileSync('mount', ['-o', mended, directory]);
      await scene.untilLogged('store_disk_recovered', recovered + 1, name, async () =>
        scene.pull((await scene.publish(MIB)).tag),
      );
      const image = await scene.publish(MIB);
      const served = await scene.served();
      await scene.pull(image.tag);
      assert.equal((await scene.served()).peers - served.peers, image.bytes);
    });
  }
});
