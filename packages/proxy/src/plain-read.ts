import type { IncomingMessage } from 'node:http';
import { hasBody } from './pass-through.ts';
import { headerValues } from './raw-headers.ts';

// The registry knows what its validators mean; we do not keep them.
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'];
// Two of one of these may be read differently by us and by the registry, which would split the right from the bytes.
const AT_MOST_ONCE = ['authorization', 'range', 'if-range'];

/** Whether a GET or HEAD asks for nothing but content: no body, no condition, one credential. Others are the registry's to answer. */
export function isPlainRead(request: IncomingMessage): boolean {
  if (hasBody(request) || CONDITIONS.some((name) => request.headers[name] !== undefined)) return false;
  return AT_MOST_ONCE.every((name) => headerValues(request.rawHeaders, name).length <= 1);
}
