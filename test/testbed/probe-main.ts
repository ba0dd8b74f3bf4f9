/** `node probe-main.ts < request.json`: the process behind `probe`, which has to live in the host's network namespace. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectPlain } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { ProbeAnswer, ProbeRequest } from './probe.ts';

/** Bytes of the body that are shown. */
const SHOWN_BYTES = 1024;

const probe: ProbeRequest = JSON.parse(await readText(process.stdin));
const url = new URL(probe.url);
const isTls = url.protocol === 'https:';
const port = Number(url.port || (isTls ? 443 : 80));
const socket = isTls ? await openTls() : connectPlain(port, url.hostname);
const request = httpRequest({
  host: url.hostname,
  path: `${url.pathname}${url.search}`,
  method: probe.method ?? 'GET',
  headers: { host: url.host, connection: 'close', ...probe.headers },
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
  certificate: 'getPeerCertificate' in socket ? socket.getPeerCertificate().fingerprint256 : '',
};
process.stdout.write(JSON.stringify(answer));

async function openTls(): Promise<TLSSocket> {
  const ca = probe.trust.map((file) => readFileSync(file, 'utf8'));
  const { client } = probe;
  const shown = client && { cert: readFileSync(client.certificate), key: readFileSync(client.key) };
  const options = { servername: url.hostname, ca, ...shown };
  const tls =
    probe.proxy === undefined
      ? connectTls({ ...options, host: url.hostname, port })
      : connectTls({ ...options, socket: await openTunnel(new URL(`http://${probe.proxy}`)) });
  await once(tls, 'secureConnect');
  return tls;
}

async function openTunnel(proxy: URL): Promise<Socket> {
  const path = `${url.hostname}:${port}`;
  const tunnel = httpRequest({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path });
  tunnel.end();
  const [answered, tunnelled] = (await once(tunnel, 'connect')) as [IncomingMessage, Socket];
  if (answered.statusCode !== 200) throw new Error(`CONNECT was answered with ${answered.statusCode}`);
  return tunnelled;
}
