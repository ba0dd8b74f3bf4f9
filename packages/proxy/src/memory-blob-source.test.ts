import { randomBytes } from 'node:crypto';
import { parseRegistryHost, parseRepository } from '@sealift/core';
import { blobSourceConformance } from './blob-source.conformance.ts';
import { MemoryBlobSource } from './memory-blob-source.ts';

blobSourceConformance('the in-memory source', async () => {
  const source = new MemoryBlobSource();
  const place = { registry: parseRegistryHost('registry.test:5000'), repository: parseRepository('lib/app') };
  const size = 123_456;
  const digest = source.add(place, randomBytes(size), { authorization: 'Bearer good' });
  return { source, blob: { ...place, digest }, size, authorization: 'Bearer good', wrongAuthorization: 'Bearer bad' };
});
