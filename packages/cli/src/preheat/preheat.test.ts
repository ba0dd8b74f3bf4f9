import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { AppError, type Digest, digestFromSha256, parseRegistryHost, parseRepository } from '@sealift/core';
import { parsePlatform } from './image-content.ts';
import { type PreheatOptions, preheat } from './preheat.ts';
import { JsonReporter } from './reporter.ts';
import type { PreheatTarget } from './target.ts';

const digestOf = (bytes: Uint8Array): Digest => digestFromSha256(createHash('sha256').update(bytes).digest());
const blob = (name: string) => ({ digest: digestOf(Buffer.from(name)), size: name.length * 100 });

/** An image for two platforms, which share a layer, with an attestation beside them. */
function makeImage() {
  const manifests = new Map<Digest, Buffer>();
  const put = (value: object): { digest: Digest } => {
    const bytes = Buffer.from(JSON.stringify(value));
    manifests.set(digestOf(bytes), bytes);
    return { digest: digestOf(bytes) };
  };
  const of = (name: string) => put({ config: blob(`config-${name}`), layers: [blob('shared'), blob(`layer-${name}`)] });
  const index = put({
    manifests: [
      { ...of('amd64'), platform: { os: 'linux', architecture: 'amd64' } },
      { ...of('arm64'), platform: { os: 'linux', architecture: 'arm64' } },
      { ...of('attested'), platform: { os: 'unknown', architecture: 'unknown' } },
    ],
  });
  return { manifests, digest: index.digest };
}

/** A target that takes everything but what `refuses` names, and remembers it. */
function setUp({ refuses = '', keeps = true } = {}) {
  const { manifests, digest } = makeImage();
  const brought: string[] = [];
  const target: PreheatTarget = {
    name: 'target',
    manifest: async (ref) => (keeps ? manifests.get(ref.digest) : undefined),
    blob: async (ref, { size }, { signal, onProgress }) => {
      signal.throwIfAborted();
      if (ref.digest === digestOf(Buffer.from(refuses))) throw new AppError('REGISTRY_REFUSED', { status: 403 });
      onProgress(size / 2);
      brought.push(ref.digest);
    },
  };
  const lines: { event: string; percent?: number }[] = [];
  const options: PreheatOptions = {
    image: { registry: parseRegistryHost('registry.example'), repository: parseRepository('team/app'), digest },
    text: 'registry.example/team/app:1',
    platforms: [],
    targets: [target],
    fetchManifest: async (ref) => manifests.get(ref.digest) ?? Buffer.alloc(0),
    reporter: new JsonReporter((line) => lines.push(JSON.parse(line))),
    signal: AbortSignal.timeout(10_000),
  };
  return { options, brought, lines, manifests };
}

const names = (...texts: string[]): string[] => texts.map((text) => blob(text).digest).sort();

test('each blob of all platforms is brought once, and nothing of attestations', async () => {
  const { options, brought, lines } = setUp();
  await preheat(options);
  const expected = names('config-amd64', 'config-arm64', 'layer-amd64', 'layer-arm64', 'shared');
  assert.deepEqual(brought.toSorted(), expected);
  assert.deepEqual([lines[0]?.event, lines.at(-1)?.event], ['resolved', 'done']);
  const percents = lines.flatMap(({ percent }) => percent ?? []);
  assert.ok(percents.length > 1);
  assert.deepEqual(
    percents.toSorted((a, b) => a - b),
    percents,
  );
});

test('only what is for the wanted platform is brought, and an image without it is told', async () => {
  const { options, brought } = setUp();
  await preheat({ ...options, platforms: [parsePlatform('linux/arm64')] });
  assert.deepEqual(brought.toSorted(), names('config-arm64', 'layer-arm64', 'shared'));
  await assert.rejects(preheat({ ...options, platforms: [parsePlatform('linux/s390x')] }), {
    code: 'REFERENCE_INVALID',
  });
});

test('a blob that cannot be brought ends it with the reason', async () => {
  const { options } = setUp({ refuses: 'shared' });
  await assert.rejects(preheat(options), { code: 'REGISTRY_REFUSED' });
});

test('a manifest that the target does not keep comes from the registry, which is told', async () => {
  const { options, brought, lines } = setUp({ keeps: false });
  await preheat(options);
  assert.equal(brought.length, 5);
  assert.ok(lines.some(({ event }) => event === 'manifest_not_kept'));
});

test('a manifest that does not match its digest is not gone by', async () => {
  const { options, brought, manifests } = setUp();
  const [first] = manifests.values();
  manifests.set(options.image.digest, first ?? Buffer.alloc(0));
  await assert.rejects(preheat(options), { code: 'PREHEAT_INCOMPLETE' });
  assert.deepEqual(brought, []);
});
