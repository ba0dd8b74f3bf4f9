import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FakeFault } from './fake-faults.ts';
import { sendJson } from './fake-token-office.ts';
import type { HeldBody } from './held-body.ts';

/** Bytes written at once: small enough that a test sees a body in parts. */
const WRITE_BYTES = 64 * 1024;
/** Pause between the bytes of slow headers, in ms. */
const SLOW_HEADER_INTERVAL_MS = 20;

/** What to send, and how. */
export interface FakeBody {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly fault: FakeFault | undefined;
  readonly held: HeldBody | undefined;
  /** Called with the length of each part once it is on its way. */
  readonly onSent: (bytes: number) => void;
}

/** Answers a GET or HEAD with `bytes`, or the part that Range asks for, and with the fault. */
export async function sendFakeBody(request: IncomingMessage, response: ServerResponse, body: FakeBody): Promise<void> {
  const { fault } = body;
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'reset') {
    response.destroy();
    return;
  }
  if (fault?.kind === 'raw') {
    response.socket?.end(fault.text);
    return;
  }
  if (fault?.kind === 'slow-headers') {
    sendSlowHeaders(response);
    return;
  }
  if (fault?.kind === 'status') {
    sendJson(response, fault.status, { errors: [{ code: 'UNAVAILABLE', message: 'a fault' }] }, fault.headers);
    return;
  }
  const { length } = body.bytes;
  const { start, end, status, range } = fault?.kind === 'ignore-range' ? whole(length) : rangeOf(request, length);
  if (start === undefined) {
    sendJson(response, 416, { errors: [{ code: 'RANGE_INVALID' }] }, range);
    return;
  }
  const replaced = fault?.kind === 'headers' ? fault.headers : {};
  const headers = { ...body.headers, ...range, ...lengthOf(body, end - start), ...replaced };
  response.writeHead(status, Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)));
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  response.flushHeaders();
  await sendBytes(response, body, { start, end });
}

interface Part {
  /** `undefined` if the blob has no such part. */
  readonly start: number | undefined;
  readonly end: number;
  readonly status: number;
  readonly range: Record<string, string>;
}

function whole(size: number): Part {
  return { start: 0, end: size, status: 200, range: {} };
}

function rangeOf(request: IncomingMessage, size: number): Part {
  const groups = /^bytes=(?<first>[0-9]+)-(?<last>[0-9]*)$/.exec(request.headers.range ?? '')?.groups;
  if (groups === undefined) return whole(size);
  const start = Number(groups['first']);
  const end = groups['last'] === '' ? size : Math.min(size, Number(groups['last']) + 1);
  if (start >= end) return { start: undefined, end, status: 416, range: { 'content-range': `bytes */${size}` } };
  return { start, end, status: 206, range: { 'content-range': `bytes ${start}-${end - 1}/${size}` } };
}

function lengthOf({ fault }: FakeBody, length: number): Record<string, string | undefined> {
  if (fault?.kind === 'no-content-length') return {};
  return { 'content-length': String(fault?.kind === 'content-length' ? fault.length : length) };
}

async function sendBytes(
  response: ServerResponse,
  { bytes, fault, held, onSent }: FakeBody,
  { start, end }: { start: number; end: number },
): Promise<void> {
  const stop = fault?.kind === 'cut' || fault?.kind === 'stall' ? Math.min(end, start + fault.afterBytes) : end;
  response.once('close', () => held?.remove(response));
  for (let at = start; at < stop && !response.destroyed; ) {
    const allowed = held === undefined ? stop : await held.allowance(response, at);
    const part = Buffer.from(bytes.subarray(at, Math.min(stop, allowed, at + WRITE_BYTES)));
    if (fault?.kind === 'wrong-bytes' && at === start) part[0] = (part[0] ?? 0) ^ 1;
    if (!(await write(response, part))) break;
    at += part.length;
    onSent(part.length);
  }
  held?.remove(response);
  if (fault?.kind === 'stall') return;
  if (fault?.kind === 'cut' || fault?.kind === 'content-length') response.destroy();
  else response.end();
}

/** `false` if the client is gone. */
function write(response: ServerResponse, part: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const onClose = (): void => resolve(false);
    response.once('close', onClose);
    response.write(part, (error) => {
      response.off('close', onClose);
      resolve(!error);
    });
  });
}

function sendSlowHeaders(response: ServerResponse): void {
  const { socket } = response;
  socket?.write('HTTP/1.1 200 OK\r\nX-Slow: ');
  const timer = setInterval(() => socket?.write('x'), SLOW_HEADER_INTERVAL_MS);
  response.once('close', () => clearInterval(timer));
}
