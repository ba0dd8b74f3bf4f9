import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError, type RegistryHost } from '@sealift/core';
import { tryParseRegistryHost } from './connect-target.ts';
import { headerValues } from './raw-headers.ts';
import type { RegistryHandler } from './registry-handler.ts';
import { parseRequestTarget } from './request-target.ts';

/** Answers one request on a connection that is intercepted for `registry`. Throws `HOST_MISDIRECTED` for any other host. */
export async function handleIntercepted(
  { request, response, registry }: { request: IncomingMessage; response: ServerResponse; registry: RegistryHost },
  { registryHandler, signal }: { registryHandler: RegistryHandler; signal: AbortSignal },
): Promise<void> {
  const hosts = headerValues(request.rawHeaders, 'host');
  const target = parseRequestTarget(request.url ?? '');
  // RFC 9110 §7.4: a connection that was opened for one host must not carry a request for another.
  const isForRegistry =
    hosts.length === 1 &&
    tryParseRegistryHost(hosts[0] as string) === registry &&
    (target.kind !== 'absolute' || tryParseRegistryHost(target.authority) === registry);
  if (!isForRegistry) throw new AppError('HOST_MISDIRECTED', { registry });
  if (target.kind === 'other' || (target.kind === 'absolute' && target.scheme !== 'https')) {
    throw new AppError('REQUEST_UNSUPPORTED', { reason: 'the request target is neither a path nor an https address' });
  }
  await registryHandler.handle({ request, response, registry, path: target.path }, { signal });
}
