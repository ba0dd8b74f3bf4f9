import type { Logger } from '@sealift/core';
import type { JoinAnswer } from '@sealift/tracker-api';
import type { Seeder, SeedOffer, SeedRequest } from '../ports.ts';

/** Longest wait for the seeder to know size and pieces of a blob, in ms. After it the node reads from the registry. */
const SEEDER_DEADLINE_MS = 10_000;

/** The `offer` of a join answer. */
export type WireOffer = Extract<JoinAnswer, { verdict: 'granted' }>['offer'];

/** What the seeder offers, in time and in any case: a seeder that fails or hangs offers nothing, and the right stands. */
export async function seedOffer(seeder: Seeder, request: SeedRequest, { log }: { log: Logger }): Promise<WireOffer> {
  const deadline = new AbortController();
  const late = Promise.withResolvers<never>();
  // Not by a signal with a timeout of its own, which would stay for its ten seconds: joins come by the thousand.
  const timer = setTimeout(() => {
    const error = new DOMException('the seeder took too long', 'TimeoutError');
    deadline.abort(error);
    late.reject(error);
  }, SEEDER_DEADLINE_MS).unref();
  try {
    // Raced, because the deadline must hold for a seeder that does not listen to it too.
    const offer = await Promise.race([seeder.offer(request, { signal: deadline.signal }), late.promise]);
    return wireOffer(offer, request.size);
  } catch (error) {
    log.warn('ingest_failed', { swarmId: request.swarmId, error });
    return wireOffer({ kind: 'none', reason: 'the seeder did not answer' }, request.size);
  } finally {
    clearTimeout(timer);
  }
}

function wireOffer(offer: SeedOffer, size: number | undefined): WireOffer {
  switch (offer.kind) {
    case 'inline':
      return { kind: 'inline', bytes: Buffer.from(offer.bytes).toString('base64') };
    case 'swarm':
      return {
        kind: 'swarm',
        size: offer.size,
        pieceLength: offer.pieceLength,
        batches: offer.batches.map((batch) => Buffer.from(batch).toString('base64')),
      };
    case 'none':
      return { kind: 'none', reason: offer.reason, ...(size === undefined ? {} : { size }) };
  }
}
