import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { isAppError } from '@sealift/core';
import { createSigningRequest, fetchTrustAnchor, trackerConnectOptions } from '@sealift/pki';
import { Agent } from 'undici';
import { openTrackerState } from './state/tracker-state.ts';
import { type TestNode, TestTracker } from './tracker.fixture.ts';

const cluster = new TestTracker();
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

before(() => cluster.start());
after(() => cluster.stop());

/** Does what the CLI does, from another process as far as the tracker can tell. */
async function byOperator(act: 'introduce' | 'retire'): Promise<void> {
  const state = await openTrackerState({ dataDirectory: cluster.directory, clock: cluster.clock });
  await state.cas[act]();
  state.close();
}

const changed = (): Promise<void> =>
  new Promise((resolve) => {
    const stop = cluster.state.cas.onChange(() => {
      stop();
      resolve();
    });
  });

/** Renews as a node does: a fresh key, over a connection that shows the present certificate. */
async function renewed(node: TestNode): Promise<{ node: TestNode; issuer: string; trustAnchors: string }> {
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const answer = await node.client.renew({ csr: csrPem }, { signal: signal() });
  const { issuer } = new X509Certificate(answer.certificate);
  return { node: cluster.node(answer, privateKeyPem), issuer, trustAnchors: answer.cluster.trustAnchors };
}

/** What a node that knows this fingerprint trusts, and whether the tracker is believed with it. */
async function reach(fingerprint: string): Promise<string> {
  const trustAnchors = await fetchTrustAnchor({ origin: cluster.origin, fingerprint }, { signal: signal() });
  const agent = new Agent({ connect: trackerConnectOptions({ trustAnchors }) });
  try {
    await cluster.client(agent).cluster({ signal: signal() });
    return trustAnchors;
  } finally {
    await agent.destroy();
  }
}

test('the CA is replaced under a running cluster, and the old one then counts no more', async () => {
  const first = cluster.state.ca;
  let alice = await cluster.enrol('alice');
  const bob = await cluster.enrol('bob');

  const introduced = changed();
  await byOperator('introduce');
  await introduced;
  const second = cluster.state.cas.newest;
  assert.notEqual(second.fingerprint, first.fingerprint);
  // Until all have heard of it, the next CA signs nothing.
  const told = await renewed(alice);
  alice = told.node;
  assert.equal(told.issuer, first.name);
  assert.equal(told.trustAnchors, first.certificatePem + second.certificatePem);
  assert.equal(cluster.state.cas.stage, 'introduced');

  const activated = changed();
  const lastToHear = (await renewed(bob)).node;
  await activated;
  assert.equal(cluster.state.cas.stage, 'activated');
  assert.equal((await reach(first.fingerprint)).includes(first.certificatePem), true);
  assert.equal(await reach(second.fingerprint), second.certificatePem + first.certificatePem);
  const followed = await renewed(alice);
  assert.equal(followed.issuer, second.name);
  assert.equal(cluster.state.nodes.notIssuedBy(second.fingerprint).nodes, 1);
  // A certificate of the old CA still does, on old connections and new ones.
  await renewed(lastToHear);

  const retired = changed();
  await byOperator('retire');
  await retired;
  const refused = { code: 'TRACKER_REFUSED', details: { code: 'CERT_REQUIRED', status: 401 } };
  await assert.rejects(renewed(lastToHear), refused, 'over the connection that it has');
  // The certificate that it shows from now on takes a moment to make.
  let refusal: unknown;
  for (let attempt = 0; attempt < 100 && !isAppError(refusal, 'TRUST_ANCHOR_MISMATCH'); attempt += 1)
    refusal = await reach(first.fingerprint).catch((error: unknown) => error);
  assert.ok(isAppError(refusal, 'TRUST_ANCHOR_MISMATCH'), String(refusal));
  assert.equal(await reach(second.fingerprint), second.certificatePem);
  assert.equal((await renewed(followed.node)).issuer, second.name);
  assert.match(await cluster.auditText(), new RegExp(`"ca_activated","fingerprint":"${second.fingerprint}"`));
});
