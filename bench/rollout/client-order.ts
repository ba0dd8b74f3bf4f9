import { createHash, randomFillSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Digest, digestFromSha256, parseRegistryHost, parseRepository } from '@sealift/core';
import { LightClient } from '../../packages/cli/src/demo/light-client.ts';

/** Longest time that one push may take, in ms; a run that hangs says less than one that fails. */
const PUSH_TIMEOUT_MS = 600_000;
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** What a light client on this host is to reach a registry with. */
export interface ClientOrder {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  /** Files with the certificates that it trusts. */
  readonly trust: readonly string[];
  readonly credentials?: { readonly username: string; readonly password: string };
  /** A node's proxy on this host's loopback; a direct connection without it. */
  readonly proxy?: { readonly host: string; readonly port: number };
}

export interface PushOrder extends ClientOrder {
  /** Bytes of each layer. They are random, so that nobody holds them already. */
  readonly layers: readonly number[];
}

/** An order to a light client, see `light_client.py`. */
export interface PullOrder extends ClientOrder {
  /** When to begin, in ms since the epoch: all hosts of one machine share the clock. */
  readonly startAt: number;
}

export interface Pulled {
  /** From `startAt` to the last byte with its digest checked, in seconds. */
  readonly seconds: number;
  /** From `startAt` to the first byte of any blob, in seconds. */
  readonly firstByteSeconds: number;
}

/** What was pushed: all blobs of the image, its config included. */
export interface Pushed {
  readonly blobBytes: number;
  /** Digests of the layers, in order. */
  readonly layers: readonly Digest[];
  /** The same, and the config's. */
  readonly blobs: readonly Digest[];
}

/** A client for the order. */
export async function clientOf({ registry, repository, trust, credentials, proxy }: ClientOrder): Promise<LightClient> {
  const anchors = await Promise.all(trust.map((file) => readFile(file, 'utf8')));
  return new LightClient({
    route: { proxy, trustAnchors: anchors.join('\n') },
    registry: parseRegistryHost(registry),
    repository: parseRepository(repository),
    ...(credentials === undefined ? {} : { credentials }),
  });
}

/** Pushes an image of random layers, or of what `fill` makes of each of them. */
export async function push(
  order: PushOrder,
  { fill = (bytes) => void randomFillSync(bytes) }: { fill?: (bytes: Buffer, layer: number) => void } = {},
): Promise<Pushed> {
  const client = await clientOf(order);
  const layers = order.layers.map((size, layer) => {
    const bytes = Buffer.allocUnsafe(size);
    fill(bytes, layer);
    return { mediaType: LAYER_TYPE, bytes };
  });
  // Unlike any other config, for the same reason.
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', created: new Date().toISOString() }));
  const signal = AbortSignal.timeout(PUSH_TIMEOUT_MS);
  await client.push(order.tag, { config, layers }, { signal });
  const digests = layers.map(({ bytes }) => digestOf(bytes));
  return {
    blobBytes: layers.reduce((sum, { bytes }) => sum + bytes.length, config.length),
    layers: digests,
    blobs: [...digests, digestOf(config)],
  };
}

function digestOf(bytes: Uint8Array): Digest {
  return digestFromSha256(createHash('sha256').update(bytes).digest());
}
