/** `node probe-main.ts < request.json`: the process behind `probe`, which has to live in the host's network namespace. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import type { ProbeAnswer, ProbeRequest } from './probe.ts';

/** Bytes of the body that are shown. */
const SHOWN_BYTES = 1024;

const probe: ProbeRequest = JSON.parse(await readText(process.stdin));
const url = new URL(probe.url);
const ca = probe.trust.map((file) => readFileSync(file, 'utf8'));
const port = url.port || '443';
const socket = await openTls();
const { method = 'GET', headers = {} } = probe;
const request = httpsRequest(url, {
  method,
  headers: { connection: 'close', ...headers },
  createConnection: () => socket,
});
request.end();
const [response] = (await once(request, 'response')) as [IncomingMessage];
const hash = createHash('sha256');
let bytes = 0;
let text = '';
for await (const chunk of response as AsyncIterable<Buffer>) {
  hash.update(chunk);
  if (text.length < SHOWN_BYTES) text += chunk.toString('utf8', 0, SHOWN_BYTES - text.length);
  bytes += chunk.length;
}
const answer: ProbeAnswer = {
  status: response.statusCode ?? 0,
  headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)])),
  bytes,
  digest: `sha256:${hash.digest('hex')}`,
  text,
  certificate: socket.getPeerCertificate().fingerprint256,
};
process.stdout.write(JSON.stringify(answer));

async function openTls(): Promise<TLSSocket> {
  const options = { servername: url.hostname, ca };
  const tls = await openTransport(options);
  await once(tls, 'secureConnect');
  return tls;
}

async function openTransport(options: { servername: string; ca: string[] }): Promise<TLSSocket> {
  if (probe.proxy === undefined) return connect({ ...options, host: url.hostname, port: Number(port) });
  const proxy = new URL(`http://${probe.proxy}`);
  const tunnel = httpRequest({
    host: proxy.hostname,
    port: proxy.port,
    method: 'CONNECT',
    path: `${url.hostname}:${port}`,
  });
  tunnel.end();
  const [answered, socket] = await once(tunnel, 'connect');
  if (answered.statusCode !== 200) throw new Error(`CONNECT was answered with ${answered.statusCode}`);
  return connect({ ...options, socket });
}
