import { AppError, type Clock } from '@sealift/core';

/**
 * The least that a registry must send while we wait for it: 16 KiB in a minute, a twentieth of an analogue modem. The
 * client's own limit is for silence; without this one, a byte every 29 s would hold a read, its memory and all who wait
 * for the blob for ever. Time that we spend on the bytes ourselves does not count.
 */
export const MIN_PACE_BYTES = 16 * 1024;
/** See {@link MIN_PACE_BYTES}, in ms. */
export const MIN_PACE_WINDOW_MS = 60_000;

/** The chunks of `body`; throws `REGISTRY_UNAVAILABLE` when they come more slowly than {@link MIN_PACE_BYTES} says. */
export async function* atPace(
  body: AsyncIterable<Uint8Array>,
  { clock }: { clock: Clock },
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let waitedMs = 0;
  let since = clock.now();
  for await (const chunk of body) {
    bytes += chunk.length;
    waitedMs += clock.now() - since;
    if (bytes >= MIN_PACE_BYTES) {
      bytes = 0;
      waitedMs = 0;
    } else if (waitedMs >= MIN_PACE_WINDOW_MS) {
      throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it sends too slowly', bytes, waitedMs });
    }
    yield chunk;
    since = clock.now();
  }
}
