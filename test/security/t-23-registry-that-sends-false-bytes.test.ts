import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { repository, WiredCluster, type WiredNode } from '../conformance/wired-node.ts';

let cluster: WiredCluster;
let node: WiredNode;
let authorization: string;
before(async () => {
  cluster = await WiredCluster.start();
  node = await cluster.wholeNode();
  authorization = await cluster.authorization(repository);
});
after(() => cluster.stop());

test('T-23: a blob that is not what its digest says never comes whole, and no node keeps it', async (t) => {
  const size = 1_300_000;
  const blob = cluster.addBlob(size);
  cluster.registry.fail(blob.digest, { kind: 'wrong-bytes' }, { method: 'GET' });
  const body = cluster.registry.hold(blob.digest);
  const open = await node.source.open({ blob, authorization, intent: 'pull' }, { signal: t.signal });
  let received = 0;
  const reading = async (): Promise<void> => {
    assert.ok(open);
    await body.release(size - 1);
    for await (const chunk of open.read({ start: 0, end: size }, { signal: t.signal })) {
      received += chunk.length;
      // The end of it comes once the node has begun.
      body.releaseAll();
    }
  };
  await assert.rejects(reading, { code: 'SWARM_WITHDRAWN' });
  open?.close();
  assert.ok(received < size);
  assert.deepEqual(
    node.store.list().filter(({ digest, isComplete }) => digest === blob.digest && isComplete),
    [],
  );
  const again = await node.source.open({ blob, authorization, intent: 'pull' }, { signal: t.signal });
  assert.equal(again, undefined, 'the next pull goes to the registry, whose own answer it gets');
});

test('T-23: a small blob with false bytes is not handed out', async (t) => {
  const blob = cluster.addBlob(3_000);
  cluster.registry.fail(blob.digest, { kind: 'wrong-bytes' }, { method: 'GET' });
  const open = await node.source.open({ blob, authorization, intent: 'pull' }, { signal: t.signal });
  assert.equal(open, undefined);
});
