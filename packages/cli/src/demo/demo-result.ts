import { AppError } from '@sealift/core';
import { readNodeStatus } from '../node-admin.ts';
import { mib, say } from './narration.ts';
import type { Refusal } from './refusals.ts';

/** Bytes that a node's runtime received, by where they came from. */
export interface NodeSources {
  readonly node: string;
  readonly registry: number;
  readonly peers: number;
  readonly cache: number;
}

/** What a demo showed; one line of `--json`. */
export interface DemoResult {
  readonly ok: boolean;
  readonly nodes: number;
  /** Bytes of all blobs of the image. */
  readonly blobBytes: number;
  /** Bytes of blobs that left the registry, by the registry's own count. */
  readonly registryBlobBytes: number;
  readonly seconds: number;
  readonly sources: readonly NodeSources[];
  readonly refusals: readonly Refusal[];
}

/** What the registry says that it sent. */
export interface RegistryCount {
  /** Answers with a blob's body. */
  readonly blobGets: number;
  readonly blobBytes: number;
}

/** Asks a node over its admin socket where its bytes came from. */
export async function sourcesOf(name: string, dataDirectory: string): Promise<NodeSources> {
  const { bytes } = (await readNodeStatus(dataDirectory)) as {
    bytes: { registry: number; peers: number; cache: number };
  };
  return { node: name, registry: bytes.registry, peers: bytes.peers, cache: bytes.cache };
}

/** Tells how the pull went: what each node got from where, and what it cost the registry. */
export function tellPull(
  { seconds, sources, blobBytes }: Pick<DemoResult, 'seconds' | 'sources' | 'blobBytes'>,
  count: RegistryCount,
): void {
  say(`\nDone in ${seconds} s. Where each node's bytes came from:`);
  for (const { node, registry, peers, cache } of sources) {
    const [fromRegistry, fromPeers, fromCache] = [registry, peers, cache].map((bytes) => mib(bytes).padStart(10));
    say(`  ${node.padEnd(8)} registry ${fromRegistry}   peers ${fromPeers}   cache ${fromCache}`);
  }
  say(
    `The registry sent ${mib(count.blobBytes)} of blobs in ${count.blobGets} answers; the image has ${mib(blobBytes)}.`,
  );
  say(`Every node for itself would have cost it ${mib(blobBytes * sources.length)}.\n`);
}

/** Tells what thieves got. */
export function tellRefusals(refusals: readonly Refusal[]): void {
  say('Two enrolled peers tried to take the largest layer from the first node:');
  for (const refusal of refusals) say(`  ${refusal.case.padEnd(30)} ${refusal.bytesServed} bytes`);
}

/** Prints the line of `--json` if it is wanted, then throws `DEMO_FAILED` unless the demo showed all that it should. */
export function conclude(result: DemoResult, { json }: { readonly json: boolean }): void {
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  if (!result.ok) throw new AppError('DEMO_FAILED', { reason: 'compare the numbers above' });
}
