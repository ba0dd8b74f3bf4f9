import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseRepository } from '@sealift/core';
import { repository, WiredCluster, type WiredNode } from '../conformance/wired-node.ts';

let cluster: WiredCluster;
let node: WiredNode;
before(async () => {
  cluster = await WiredCluster.start();
  node = await cluster.wholeNode();
});
after(() => cluster.stop());

test('T-08: a token for one repository opens no blob of another, whatever the size and whoever holds it', async (t) => {
  const [owner, thief, both] = await Promise.all([
    cluster.authorization(repository),
    cluster.authorization('other/app'),
    cluster.authorization('other/app', 'other/second'),
  ]);
  for (const size of [3_000, 1_300_000]) {
    const blob = cluster.addBlob(size);
    const open = (request: Partial<Parameters<typeof node.source.open>[0]>) =>
      node.source.open({ blob, authorization: owner, intent: 'pull', ...request }, { signal: t.signal });
    const held = await open({});
    assert.ok(held);
    for await (const _ of held.read({ start: 0, end: size }, { signal: t.signal }));
    held.close();
    const other = { ...blob, repository: parseRepository('other/app') };
    const attempts = {
      'another token for the right name': open({ authorization: thief }),
      'its own token for its own repository, which has no such blob': open({ authorization: thief, blob: other }),
      'a token of two repositories that have no such blob': open({ authorization: both, blob: other }),
      'no credential': open({ authorization: undefined }),
      'only a look': open({ authorization: thief, intent: 'check' }),
      'the owner of one in the name of another': open({ blob: other }),
    };
    for (const [name, attempt] of Object.entries(attempts)) assert.equal(await attempt, undefined, name);
    assert.ok(await open({}), 'the owner still gets it');
  }
});
