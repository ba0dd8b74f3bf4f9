import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import { fetchTrustAnchor } from '@sealift/pki';
import { buildCsr } from '@sealift/testkit';
import { openTrackerState } from '../../packages/tracker/src/state/tracker-state.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

test('T-35: a certificate of a CA that was retired is none, on open connections too, and its fingerprint is nobody’s', async (t) => {
  const cluster = new TestTracker();
  await cluster.start();
  t.after(() => cluster.stop());
  const signal = AbortSignal.timeout(20_000);
  const first = cluster.state.ca;
  const old = await cluster.enrol('old');
  const change = async (act: 'introduce' | 'retire'): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = cluster.state.cas.onChange(resolve);
    const state = await openTrackerState({ dataDirectory: cluster.directory, clock: cluster.clock });
    await state.cas[act]();
    state.close();
    await promise;
    stop();
  };
  await change('introduce');
  const activated = Promise.withResolvers<void>();
  const stop = cluster.state.cas.onChange(() => activated.resolve());
  await old.client.renew({ csr: await buildCsr() }, { signal });
  await activated.promise;
  stop();
  await old.client.renew({ csr: await buildCsr() }, { signal });
  await change('retire');
  const refused = (error: { details: { code?: string } }) => error.details.code === 'CERT_REQUIRED';
  await assert.rejects(old.client.renew({ csr: await buildCsr() }, { signal }), refused);
  // A leaf of the newest CA alone is being made at this moment.
  const anchor = () => fetchTrustAnchor({ origin: cluster.origin, fingerprint: first.fingerprint }, { signal });
  const isShown = () =>
    anchor().then(
      () => true,
      (error: unknown) => !isAppError(error, 'TRUST_ANCHOR_MISMATCH'),
    );
  while (await isShown()) signal.throwIfAborted();
});
