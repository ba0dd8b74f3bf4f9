// The registry behind the proxy: `/body/<bytes>` is a body of that length, `/cut/<framing>` one that breaks off.
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createLoopbackCertificate } from '@sealift/testkit';
import { serve } from './child.ts';

const CHUNK = Buffer.alloc(256 * 1024, 'sealift');
/** Sent of a body before it breaks off. */
const CUT_BYTES = 2 ** 20;
let sentBytes = 0;

serve({
  start: async () => {
    const { caPem, certificatePem, privateKeyPem } = await createLoopbackCertificate();
    const server = createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
      const [, kind, argument] = (request.url ?? '').split('/');
      const answer = kind === 'cut' ? sendCut(response, argument === 'chunked') : sendBody(response, Number(argument));
      // The client has gone, which is its right.
      answer.catch(() => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { port: (server.address() as AddressInfo).port, caPem };
  },
  sentMiB: async () => sentBytes / 2 ** 20,
});

async function sendBody(response: ServerResponse, size: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  for (let sent = 0; sent < size && !response.destroyed; sent += CHUNK.length) {
    sentBytes += CHUNK.length;
    if (!response.write(CHUNK)) await once(response, 'drain', { signal: AbortSignal.timeout(60_000) });
  }
  response.end();
}

async function sendCut(response: ServerResponse, isChunked: boolean): Promise<void> {
  const framing = isChunked ? {} : { 'content-length': 4 * CUT_BYTES };
  response.writeHead(200, { 'content-type': 'application/octet-stream', ...framing });
  // Once all of it is with the system, so that the cut comes after the bytes.
  await new Promise((resolve) => response.write(Buffer.alloc(CUT_BYTES), resolve));
  response.destroy();
}
