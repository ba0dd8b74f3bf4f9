/** A front of the registry that misbehaves on request: the process of `FaultyFront`. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { answerQuestions } from '../bench/harness/party-side.ts';
import type { FrontOrder, FrontRule } from './faulty-front.ts';

/** Only content of this size is struck: configs of a few hundred bytes are no test of anything. */
const MIN_STRUCK_BYTES = 64 * 1024;
/** Bytes sent at a time to who is served slowly. */
const SLOW_CHUNK = 16 * 1024;
const BLOB = /^\/v2\/.+\/blobs\/(?<digest>sha256:[0-9a-f]{64})(?:\?|$)/;

let rules: { rule: FrontRule; left: number }[] = [];
let struck = 0;
const sent = new Map<string, number>();
let server: https.Server | undefined;

async function start({ address, port, upstreamPort, certificate, key, authority }: FrontOrder): Promise<object> {
  const [cert, privateKey, ca] = await Promise.all([certificate, key, authority].map((file) => readFile(file)));
  const agent = new https.Agent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) });
  const created = https.createServer({ cert, key: privateKey }, (request, response) => {
    const { method, url, headers } = request;
    const target = {
      host: address,
      port: upstreamPort,
      servername: 'registry.test',
      path: url,
      method,
      headers,
      agent,
    };
    const upstream = https.request(target, (answer) => {
      void forward(request, response, answer).catch(() => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    // A client that went away needs no answer.
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  server = created;
  await new Promise<void>((resolve) => created.listen(port, address, resolve));
  return {};
}

async function show({ certificate, key }: Pick<FrontOrder, 'certificate' | 'key'>): Promise<object> {
  server?.setSecureContext({ cert: await readFile(certificate), key: await readFile(key) });
  server?.closeAllConnections();
  return {};
}

async function forward(request: IncomingMessage, response: ServerResponse, answer: IncomingMessage): Promise<void> {
  const digest = BLOB.exec(request.url ?? '')?.groups?.['digest'];
  const isContent = digest !== undefined && request.method === 'GET' && (answer.statusCode ?? 500) < 300;
  const length = Number(answer.headers['content-length'] ?? 0);
  const rule = isContent && length >= MIN_STRUCK_BYTES ? take(request) : undefined;
  if (rule?.kind === 'status') {
    answer.destroy();
    response.writeHead(rule.status, { ...rule.headers, 'content-length': '0' }).end();
    return;
  }
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  let position = 0;
  let hasBeenSilent = false;
  for await (const whole of answer as AsyncIterable<Buffer>) {
    let chunk = whole;
    if (rule?.kind === 'wrong' && position === 0 && chunk.length > 0) chunk[0] = (chunk[0] ?? 0) ^ 1;
    const isLast = rule?.kind === 'cut' && position + chunk.length >= rule.afterBytes;
    if (isLast) chunk = chunk.subarray(0, rule.afterBytes - position);
    position += chunk.length;
    if (digest !== undefined && isContent) sent.set(digest, (sent.get(digest) ?? 0) + chunk.length);
    if (rule?.kind === 'slow') await sendSlowly(response, chunk, rule.bytesPerSecond);
    else if (!response.write(chunk)) await drained(response);
    if (rule?.kind === 'silent' && !hasBeenSilent && position >= rule.afterBytes) {
      hasBeenSilent = true;
      await delay(rule.forMs);
    }
    if (isLast) {
      response.socket?.[rule.isReset ? 'destroy' : 'end']();
      return;
    }
    if (response.destroyed) return;
  }
  response.end();
}

async function sendSlowly(response: ServerResponse, chunk: Buffer, bytesPerSecond: number): Promise<void> {
  for (let at = 0; at < chunk.length && !response.destroyed; at += SLOW_CHUNK) {
    const part = chunk.subarray(at, at + SLOW_CHUNK);
    response.write(part);
    await delay((part.length / bytesPerSecond) * 1000);
  }
}

async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    response.once('drain', resolve);
    response.once('close', resolve);
  });
}

function take({ socket, headers }: IncomingMessage): FrontRule | undefined {
  const from = socket.remoteAddress ?? '';
  const fits = ({ client, isRanged }: FrontRule): boolean =>
    (client === undefined || from.endsWith(client)) && (isRanged !== true || headers.range !== undefined);
  const found = rules.find(({ rule, left }) => left > 0 && fits(rule));
  if (found === undefined) return undefined;
  found.left -= 1;
  struck += 1;
  return found.rule;
}

answerQuestions({
  start,
  show,
  rules: async (next: readonly FrontRule[]) => {
    rules = next.map((rule) => ({ rule, left: rule.times ?? Number.POSITIVE_INFINITY }));
    return {};
  },
  struck: async () => struck,
  sent: async () => Object.fromEntries(sent),
});
