import type { ClientRequest, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyLimits } from './limits.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';

// What a network does in passing, or a process that has too many files open: another try may well succeed. A bad certificate
// or a broken answer is not among them.
const PASSING_FAULTS = new Set([
  'EMFILE',
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);

/** An upstream was silent for longer than the limits allow. `code` is that of a socket that timed out. */
export class UpstreamTimeout extends Error {
  readonly code = 'ETIMEDOUT';
  override readonly name = 'UpstreamTimeout';
}

/**
 * Sends a request and resolves with the head of the answer; its body is the caller's to read. A repeatable request is sent
 * again after a passing fault of the connection, or one that the upstream could mend, since the runtimes do not all do so
 * themselves; any other one is sent once, on a fresh connection, because a kept one may be dying. `send` writes the body, if any, and ends the request.
 * Rejects with the connection's own error, or when `signal` says that nobody waits any more; an abort later on ends the
 * answer too.
 */
export async function exchange({
  upstream,
  request,
  isRepeatable,
  send,
  isClientSlow,
  limits,
  signal,
}: {
  upstream: Upstream;
  request: UpstreamRequest;
  isRepeatable: boolean;
  send: (outgoing: ClientRequest) => void;
  /** Whether a silence is the client's doing: it does not take, or does not send, what the upstream waits for. */
  isClientSlow: (outgoing: ClientRequest) => boolean;
  limits: ProxyLimits;
  signal: AbortSignal;
}): Promise<IncomingMessage> {
  const delays = [...limits.retryDelaysMs];
  for (let isFresh = !isRepeatable; ; isFresh = true) {
    const outgoing = upstream.open(request, { isFresh });
    outgoing.on('timeout', () => {
      if (!isClientSlow(outgoing)) outgoing.destroy(new UpstreamTimeout('the upstream went silent'));
    });
    try {
      const answer = answerTo(outgoing, { limits, signal });
      send(outgoing);
      return await answer;
    } catch (error) {
      if (signal.aborted || !isRepeatable) throw error;
      if (!isPassing(error) && (await upstream.mend?.(outgoing, error)) !== true) throw error;
      // A kept connection that died while it was idle says nothing about the registry: no pause, and it does not count.
      const delay = outgoing.reusedSocket ? 0 : delays.shift();
      if (delay === undefined) throw error;
      await sleep(delay, undefined, { signal });
    }
  }
}

function answerTo(
  outgoing: ClientRequest,
  { limits, signal }: { limits: ProxyLimits; signal: AbortSignal },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      outgoing.destroy(new UpstreamTimeout('no connection within the time limit'));
    }, limits.connectTimeoutMs);
    const onAbort = (): void => {
      outgoing.destroy();
    };
    outgoing.once('socket', (socket) => {
      if (outgoing.reusedSocket) clearTimeout(deadline);
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => clearTimeout(deadline));
    });
    outgoing.once('response', resolve);
    // Stays for the request's whole life: what breaks after the head shows on the answer's stream.
    outgoing.on('error', reject);
    outgoing.once('close', () => {
      clearTimeout(deadline);
      signal.removeEventListener('abort', onAbort);
      reject(new Error('the request was given up'));
    });
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}

function isPassing(error: unknown): boolean {
  return PASSING_FAULTS.has((error as NodeJS.ErrnoException | undefined)?.code ?? '');
}
