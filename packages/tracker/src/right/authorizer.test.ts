import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError, type BlobRef, parseDigest, parseRegistryHost, parseRepository, Revocations } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { Authorizer } from './authorizer.ts';
import type { RegistryProver } from './registry-prover.ts';

const revocations = new Revocations();
const blob: BlobRef = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
};
type Answer = Awaited<ReturnType<RegistryProver['head']>>;

function proverOf(answer: () => Promise<Answer>): RegistryProver & { asked: number } {
  const prover = {
    asked: 0,
    isConfigured: (registry: string) => registry === blob.registry,
    pathOf: () => '/v2/',
    head: async () => {
      prover.asked += 1;
      return await answer();
    },
  };
  return prover;
}

test('callers with one question share one answer, and the next one is answered from memory', async () => {
  const registry = proverOf(async () => ({ kind: 'yes', size: 5 }));
  const authorizer = new Authorizer({ revocations, registry, clock: new FakeClock() });
  const verdicts = await Promise.all([1, 2, 3].map(() => authorizer.decide(blob, 'Bearer a')));
  assert.ok(verdicts.every((verdict) => verdict.kind === 'granted' && verdict.size === 5));
  await authorizer.decide(blob, 'Bearer a');
  assert.equal(registry.asked, 1);
  await authorizer.decide(blob, 'Bearer b');
  assert.equal(registry.asked, 2);
});

test('the right counts from the moment of the question', async () => {
  const clock = new FakeClock();
  const asked = clock.now();
  const registry = proverOf(async () => {
    clock.advance(5_000);
    return { kind: 'yes', size: undefined };
  });
  const verdict = await new Authorizer({ revocations, registry, clock }).decide(blob, 'Bearer a');
  assert.deepEqual(verdict, { kind: 'granted', by: 'registry', provenAt: asked, size: undefined });
});

test('an outage is told to those who wait and not to the next', async () => {
  let isUp = false;
  const registry = proverOf(async () => (isUp ? { kind: 'yes', size: 1 } : { kind: 'unavailable', reason: 'x' }));
  const authorizer = new Authorizer({ revocations, registry, clock: new FakeClock() });
  assert.equal((await authorizer.decide(blob, undefined)).kind, 'unavailable');
  isUp = true;
  assert.equal((await authorizer.decide(blob, undefined)).kind, 'granted');
});

test('a client that throws because the registry is away is an outage; a bug is a bug', async () => {
  const away = proverOf(() => Promise.reject(new AppError('REGISTRY_UNAVAILABLE')));
  const clock = new FakeClock();
  assert.equal(
    (await new Authorizer({ revocations, registry: away, clock }).decide(blob, undefined)).kind,
    'unavailable',
  );
  const broken = proverOf(() => Promise.reject(new TypeError('bug')));
  const authorizer = new Authorizer({ revocations, registry: broken, clock });
  await assert.rejects(authorizer.decide(blob, undefined), TypeError);
  await assert.rejects(authorizer.decide(blob, undefined), TypeError);
  assert.equal(broken.asked, 2);
});

test('a question that is under way when its right is revoked gives no right, and the next one is asked anew', async () => {
  const clock = new FakeClock();
  let provenBefore = 0;
  const registry = proverOf(async () => {
    if (registry.asked === 1) provenBefore = clock.now() + 1;
    return { kind: 'yes', size: 1 };
  });
  const revoked = { covers: ({ authTime }: { authTime: number }) => authTime < provenBefore };
  const authorizer = new Authorizer({ revocations: revoked, registry, clock });
  assert.equal((await authorizer.decide(blob, 'Bearer a')).kind, 'unavailable');
  clock.advance(1);
  assert.equal((await authorizer.decide(blob, 'Bearer a')).kind, 'granted');
  assert.equal(registry.asked, 2);
});

test('what the registry said of a blob before a revocation vouches for no token after it', async () => {
  const clock = new FakeClock();
  let provenBefore = 0;
  const registry = proverOf(async () => ({ kind: 'yes', size: 1 }));
  const authorizer = new Authorizer({
    revocations: { covers: ({ authTime }) => authTime < provenBefore },
    registry,
    tokens: {
      verifyHeader: async () => ({ repositories: new Set([blob.repository]), expiresAt: Number.MAX_SAFE_INTEGER }),
      accepted: () => {},
      refused: () => {},
    },
    clock,
  });
  const byWhom = async (header: string): Promise<string | undefined> => {
    const verdict = await authorizer.decide(blob, header);
    return verdict.kind === 'granted' ? verdict.by : undefined;
  };
  assert.deepEqual([await byWhom('Bearer a'), await byWhom('Bearer b')], ['registry', 'token']);
  clock.advance(1);
  provenBefore = clock.now();
  assert.deepEqual([await byWhom('Bearer c'), await byWhom('Bearer d')], ['registry', 'token']);
  assert.equal(registry.asked, 2);
});

test('a registry that is not configured is never asked', async () => {
  const registry = proverOf(async () => ({ kind: 'yes', size: 1 }));
  const elsewhere = { ...blob, registry: parseRegistryHost('169.254.169.254') };
  await assert.rejects(new Authorizer({ revocations, registry, clock: new FakeClock() }).decide(elsewhere, undefined), {
    code: 'REGISTRY_UNKNOWN',
  });
  assert.equal(registry.asked, 0);
});

test('open questions are bounded: those above the bound are told to ask the registry themselves', async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const registry = proverOf(async () => {
    await held;
    return { kind: 'yes', size: 1 };
  });
  const authorizer = new Authorizer({ revocations, registry, clock: new FakeClock() });
  const questions = Array.from({ length: 512 }, (_, index) => authorizer.decide(blob, `Bearer ${index}`));
  assert.equal((await authorizer.decide(blob, 'Bearer one more')).kind, 'unavailable');
  release();
  assert.ok((await Promise.all(questions)).every(({ kind }) => kind === 'granted'));
});

test('a stop frees those who wait', async () => {
  const registry: RegistryProver = {
    isConfigured: () => true,
    pathOf: () => '/v2/',
    head: (_blob, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  };
  const authorizer = new Authorizer({ revocations, registry, clock: new FakeClock() });
  const waiting = authorizer.decide(blob, undefined);
  await authorizer.stop();
  assert.equal((await waiting).kind, 'unavailable');
});
