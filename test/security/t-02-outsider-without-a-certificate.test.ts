import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { HOSTILE_KINDS, HostileCertificates } from '@sealift/testkit';
import { request } from 'undici';
import { extendedOf, handshakeOf, RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory, setScene } from './mallory.ts';

const tracker = new TestTracker();
before(() => tracker.start());
after(() => tracker.stop());

test('T-02: the peer port gives not one byte to a certificate that does not prove a node of this cluster', async (t) => {
  const { cluster, blob, seeder, mint } = await setScene(t);
  const hostile = new HostileCertificates({ ca: cluster.ca });
  for (const kind of HOSTILE_KINDS) {
    await t.test(`a certificate of kind ${kind} is refused`, async () => {
      const material = await hostile.material(kind);
      // Bound to this very certificate, so that the grant is beyond reproach.
      const { raw } = new X509Certificate(material.certificatePem);
      const x5tS256 = createHash('sha256').update(raw).digest('base64url');
      const peer = await RawPeer.dial(seeder.engine.port, material);
      peer.greet(blob.swarmId, mallory, await mint({ x5tS256 }));
      await peer.closed;
      assert.equal(peer.receivedBytes, 0);
    });
  }
  await t.test('without a certificate there is nothing either', async () => {
    const grant = await mint();
    const socket = connect({
      host: '127.0.0.1',
      port: seeder.engine.port,
      ca: cluster.ca.certificatePem,
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => {});
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    socket.write(Buffer.concat([handshakeOf(blob.swarmId, mallory), extendedOf(grant)]));
    await new Promise((resolve) => socket.once('close', resolve));
    assert.equal(received, 0);
  });
});

test('T-02: the tracker takes no such certificate for one, at any call that needs it', async (t) => {
  const hostile = new HostileCertificates({ ca: tracker.state.ca });
  const calls = [
    [
      'POST',
      '/v1/join',
      { registry: 'r.example', repository: 'a', digest: `sha256:${'0'.repeat(64)}`, intent: 'pull' },
    ],
    ['POST', '/v1/renew', { csr: 'none' }],
    ['POST', '/v1/grants', { grants: ['a.b.c'] }],
    ['POST', '/v1/reports', { kind: 'corrupt-piece', swarmId: '0'.repeat(40), nodeId: 'node-1' }],
  ] as const;
  const ask = async (dispatcher: ReturnType<typeof tracker.agent>, [method, path, body]: (typeof calls)[number]) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await request(`${tracker.origin}${path}`, {
      method,
      dispatcher,
      headers,
      body: JSON.stringify(body),
    });
    const text = await answer.body.text();
    return text === '' ? undefined : (JSON.parse(text) as { code?: string }).code;
  };
  const valid = tracker.agent(await hostile.material('valid'));
  for (const call of calls) assert.notEqual(await ask(valid, call), 'CERT_REQUIRED', call[1]);
  for (const kind of HOSTILE_KINDS) {
    await t.test(`a certificate of kind ${kind} counts as none`, async () => {
      const agent = tracker.agent(await hostile.material(kind));
      for (const call of calls) assert.equal(await ask(agent, call), 'CERT_REQUIRED', call[1]);
      const announce = await request(`${tracker.origin}/announce`, { dispatcher: agent });
      assert.match(await announce.body.text(), /CERT_REQUIRED/);
    });
  }
});
