import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createLoopbackCertificate } from '@sealift/testkit';
import { answerQuestions } from '../harness/party-side.ts';

/** Bytes of every blob, as far as anybody is told. */
const BLOB_SIZE = 64 * 1024 * 1024;

let heads = 0;

answerQuestions({
  // A registry that says yes to everybody, as fast as Node can.
  start: async () => {
    const { caPem, certificatePem, privateKeyPem } = await createLoopbackCertificate();
    const server = createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) => {
      if (request.method === 'HEAD') heads += 1;
      request.resume();
      response.writeHead(200, { 'content-length': BLOB_SIZE }).end();
    });
    server.keepAliveTimeout = 60_000;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, caPem };
  },
  heads: async () => heads,
});
