import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { readCorpus } from './corpus.ts';
import { judge } from './judge.ts';
import { SeededRandom } from './random.ts';
import { TARGETS } from './targets/all.ts';

const GENERATED = 200;

for (const target of TARGETS) {
  describe(`fuzz target ${target.name}`, () => {
    before(() => target.start?.());

    const corpus = readCorpus(target.name);
    test('has inputs that earlier runs have kept', () => {
      assert.ok(corpus.length > 0);
    });
    for (const { file, bytes } of corpus) {
      test(`takes or refuses ${path.basename(file, '.hex')} as it should`, async () => {
        assert.equal(await judge(target, bytes), undefined);
      });
    }
    test('takes or refuses what its grammar makes of a fixed seed', async () => {
      const random = new SeededRandom(1);
      for (let count = 0; count < GENERATED; count += 1) {
        const input = target.generate(random).subarray(0, target.maxLength);
        assert.equal(await judge(target, input), undefined, Buffer.from(input).toString('hex'));
      }
    });
  });
}
