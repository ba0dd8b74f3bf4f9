import { join } from 'node:path';

/** Where a node keeps its blobs, below its data directory. */
export function storeDirectory({ data }: { readonly data: string }): string {
  return join(data, 'blobs');
}
