import {
  AppError,
  type Digest,
  type PieceGeometry,
  parseDigest,
  parseRegistryHost,
  parseSwarmId,
  pieceGeometry,
  type RegistryHost,
  type SwarmId,
} from '@sealift/core';

/** What is fixed about a stored blob from its first moment. */
export interface BlobDescription {
  readonly swarmId: SwarmId;
  readonly registry: RegistryHost;
  readonly digest: Digest;
  readonly geometry: PieceGeometry;
}

/** Raised when the layout on disk changes in a way that an older reader would misread. */
const FORMAT = 1;

/** The text of a `meta.json`. */
export function formatMeta({ swarmId, registry, digest, geometry: { size, pieceLength } }: BlobDescription): string {
  return `${JSON.stringify({ format: FORMAT, swarmId, registry, digest, size, pieceLength })}\n`;
}

/** Reads a `meta.json`; throws `STORE_FAULT` for whatever {@link formatMeta} does not write. */
export function parseMeta(text: string): BlobDescription {
  try {
    const fields = JSON.parse(text) as Readonly<Record<string, unknown>> | null;
    if (fields?.['format'] !== FORMAT) throw new AppError('STORE_FAULT', { reason: 'unknown format' });
    return {
      swarmId: parseSwarmId(String(fields['swarmId'])),
      registry: parseRegistryHost(String(fields['registry'])),
      digest: parseDigest(String(fields['digest'])),
      geometry: pieceGeometry(Number(fields['size']), Number(fields['pieceLength'])),
    };
  } catch (error) {
    throw new AppError('STORE_FAULT', { reason: 'meta.json is corrupt' }, { cause: error });
  }
}

/** Whether both say the same in every field. */
export function isSameDescription(a: BlobDescription, b: BlobDescription): boolean {
  return formatMeta(a) === formatMeta(b);
}
