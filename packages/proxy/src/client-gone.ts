import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * A signal that aborts when the client closes its connection before `response` is finished. It listens to the socket,
 * because a response that still waits behind another one on the same connection is never told.
 */
export function clientGoneSignal(request: IncomingMessage, response: ServerResponse): AbortSignal {
  const { socket } = request;
  const controller = new AbortController();
  const onClose = (): void => controller.abort();
  socket.once('close', onClose);
  response.once('finish', () => socket.off('close', onClose));
  if (socket.destroyed) onClose();
  return controller.signal;
}
