import { type Digest, type RegistryHost, registryEndpoint } from '@sealift/core';
import type { BasicChallenge, BearerChallenge, ImageReference } from '@sealift/registry';
import type { NodeSettings } from '../node-settings.ts';
import { type Endpoint, parseEndpoint } from '../option-values.ts';
import type { RuntimeName } from '../setup/runtime-plan.ts';

/** What a node says of itself, as far as checks look at it. */
export interface NodeFacts {
  readonly nodeId: string | null;
  readonly proxy: string;
  readonly certificateBegan: string | null;
  readonly certificateEnds: string | null;
  readonly enrolmentFailure: { readonly code: string; readonly reason: string } | null;
  readonly store: { readonly usedBytes: number } | null;
  readonly engine: { readonly state: string; readonly restarts: number; readonly trouble: string | null };
}

/** What is examined: the way of one image into the runtime of this machine. */
export interface Subject {
  readonly image: ImageReference;
  readonly runtime: RuntimeName;
  /** The node's data directory. */
  readonly data: string;
  /** Where the runtime looks for trust anchors. */
  readonly certsDirectory: string;
  readonly dockerSocket: string;
  readonly authFile: string;
  /** Below it lies the runtime's configuration. */
  readonly root: string;
  readonly learned: Learned;
}

/** What a check has learned, for those that need it. */
export interface Learned {
  node?: NodeFacts;
  settings?: NodeSettings;
  trackerTime?: { readonly theirs: number; readonly ours: number };
  challenge?: BearerChallenge | BasicChallenge | undefined;
  authorization?: string | undefined;
  /** A blob of the image, to ask the cluster about. */
  blob?: Digest;
}

/** What `needs` of a check promises to be there; throws where it is not, which is a fault of the checks. */
export function nodeOf({ learned: { node, settings } }: Subject): {
  node: NodeFacts;
  settings: NodeSettings;
  proxy: Endpoint;
} {
  if (node === undefined || settings === undefined) throw new TypeError('the node has not been asked');
  return { node, settings, proxy: parseEndpoint(node.proxy) };
}

/** `host:port` of a registry, with the port that goes without saying. */
export function addressOf(registry: RegistryHost): string {
  const { hostname, port } = registryEndpoint(registry);
  return `${hostname}:${port}`;
}

/** The image as it was written, or nearly so. */
export function formatImage({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
