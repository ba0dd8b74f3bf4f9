import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { request } from 'undici';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker({
  limits: {
    join: { burst: 5, perSecond: 0 },
    announce: { burst: 50, perSecond: 0 },
    other: { burst: 5, perSecond: 0 },
  },
});
before(() => cluster.start());
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

const nowhere = { repository: 'team/app', digest: `sha256:${'0'.repeat(64)}`, intent: 'pull' } as const;

test('T-19: a node that asks without end is told to wait, and others are not', async () => {
  const [flooder, other] = [await cluster.enrol(), await cluster.enrol()];
  const join = (node: typeof other) =>
    node.client.join({ registry: cluster.registry.host, ...nowhere }, { signal: signal() }).then(
      ({ verdict }) => verdict,
      (error: { details: { code?: string } }) => error.details.code,
    );
  const outcomes = await Promise.all(Array.from({ length: 30 }, () => join(flooder)));
  assert.equal(outcomes.filter((outcome) => outcome === 'denied').length, 5);
  assert.equal(outcomes.filter((outcome) => outcome === 'TOO_MANY_REQUESTS').length, 25);
  assert.equal(await join(other), 'denied');
  assert.equal(cluster.registry.counts(nowhere.digest).heads <= 2, true, 'equal questions are asked once');
});

test('T-19: refused announces are bounded, and do not fill the audit log', async () => {
  const node = await cluster.enrol();
  const announce = async () => {
    const answer = await request(`${cluster.origin}/announce?left=1`, { dispatcher: node.agent });
    return /failure reason[0-9]+:([A-Z_]+)/.exec(await answer.body.text())?.[1];
  };
  const codes: (string | undefined)[] = [];
  for (let count = 0; count < 120; count += 1) codes.push(await announce());
  assert.equal(codes.filter((code) => code === 'TOO_MANY_REQUESTS').length, 70);
  const lines = (await cluster.auditText()).split('\n').filter((line) => line.includes('announce_refused'));
  assert.ok(lines.length > 0 && lines.length <= 30, String(lines.length));
});

test('T-19: a body, a head or an answer of any size costs a bounded one', async () => {
  const node = await cluster.enrol();
  const post = async (body: string) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await request(`${cluster.origin}/v1/join`, {
      method: 'POST',
      dispatcher: node.agent,
      headers,
      body,
    });
    await answer.body.dump();
    return answer.statusCode;
  };
  assert.equal(await post(JSON.stringify({ ...nowhere, registry: 'x'.repeat(100_000) })), 413);
  const headers = { authorization: `Bearer ${'x'.repeat(20_000)}` };
  const head = await request(`${cluster.origin}/announce`, { dispatcher: cluster.agent(), headers });
  await head.body.dump();
  assert.equal(head.statusCode, 431);
});
