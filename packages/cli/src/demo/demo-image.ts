import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

const MIB = 1024 * 1024;
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** An image to push: its config and its layers, in order. */
export interface DemoImage {
  readonly config: Buffer;
  readonly layers: readonly { readonly mediaType: string; readonly bytes: Buffer }[];
}

/**
 * Layer sizes of the demo image, in bytes: one large, some middling, some tiny, as real images have them. Files are
 * random, so the layers do not shrink.
 */
const FILE_SIZES = [48 * MIB, 6 * MIB, 2 * MIB, 300 * 1024, 2_000, 900];

/** Makes the demo image from a seed: the same seed gives the same digests. */
export function makeDemoImage(seed: string): DemoImage {
  const tars = FILE_SIZES.map((size, index) => tarOf(`srv/data-${index}`, noise(`${seed}/${index}`, size)));
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: tars.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`) },
  };
  return {
    config: Buffer.from(JSON.stringify(config)),
    layers: tars.map((tar) => ({ mediaType: LAYER_TYPE, bytes: gzipSync(tar, { level: 1 }) })),
  };
}

/** `size` bytes that look random and follow from `seed`: SHAKE-256 as an extendable output. */
function noise(seed: string, size: number): Buffer {
  return createHash('shake256', { outputLength: size }).update(seed).digest();
}

/** A tar archive with one file (POSIX ustar): a 512-byte header, the content padded to 512, two empty blocks. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;
  header.write(name, 0, 100, 'utf8');
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.fill(' ', 148, 156);
  header.write('0', 156);
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}
