import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Host } from './host.ts';
import type { Registry } from './registry.ts';
import { createTar, type TarEntry } from './tar.ts';
import type { RegistryUser } from './token-server.ts';
import type { KeyPair } from './upstream-pki.ts';

/** A blob of an image. */
export interface ImageBlob {
  readonly digest: string;
  readonly size: number;
}

/** An image on disk, as an OCI image layout with the tag `1`. */
export interface Image {
  readonly layout: string;
  readonly config: ImageBlob;
  readonly layers: readonly ImageBlob[];
  /** What stands for the image, from the tag on: an index if it has one, then the manifest. */
  readonly manifests: readonly ImageBlob[];
}

/** The static shell that makes our images runnable. */
const BUSYBOX = '/bin/busybox';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const APPLETS = ['sh', 'echo', 'cat', 'true', 'sha256sum', 'ls', 'ip'];

/**
 * Builds an image: a busybox layer, then one layer per size in `layerBytes`, each a file `/data/<index>` that does not
 * compress. The same seed gives the same bytes. With `isIndexed` the tag names an index of one platform.
 */
export async function buildImage(
  directory: string,
  o: { seed: string; layerBytes: readonly number[]; isIndexed?: boolean },
): Promise<Image> {
  const blobs = path.join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const put = async (content: Buffer): Promise<ImageBlob> => {
    const hex = createHash('sha256').update(content).digest('hex');
    await writeFile(path.join(blobs, hex), content);
    return { digest: `sha256:${hex}`, size: content.length };
  };
  const archives = [
    createTar(await shellEntries(o.seed)),
    ...o.layerBytes.map((size, index) => dataLayer(o.seed, index, size)),
  ];
  const layers: ImageBlob[] = [];
  // Level 0: nothing here compresses, but a gzip layer is what registries hold and what skopeo passes on as it is.
  for (const archive of archives) layers.push(await put(gzipSync(archive, { level: 0 })));
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const config = await put(
    json({
      architecture,
      os: 'linux',
      config: { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: archives.map((archive) => digestOf(archive)) },
    }),
  );
  const manifest = await put(
    json({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer })),
    }),
  );
  const platform = { architecture, os: 'linux' };
  const index = o.isIndexed
    ? await put(
        json({
          schemaVersion: 2,
          mediaType: INDEX_TYPE,
          manifests: [{ mediaType: MANIFEST_TYPE, ...manifest, platform }],
        }),
      )
    : undefined;
  const descriptor = {
    ...(index === undefined ? { mediaType: MANIFEST_TYPE, ...manifest } : { mediaType: INDEX_TYPE, ...index }),
    annotations: { 'org.opencontainers.image.ref.name': '1' },
  };
  await writeFile(path.join(directory, 'index.json'), json({ schemaVersion: 2, manifests: [descriptor] }));
  await writeFile(path.join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  return { layout: directory, config, layers, manifests: index === undefined ? [manifest] : [index, manifest] };
}

/** Copies the image into a registry with skopeo, from `host`, as `repository:1`. */
export async function pushImage(
  host: Host,
  o: {
    image: Image;
    registry: Pick<Registry, 'name'>;
    repository: string;
    authority: string;
    /** What to show to a registry that asks for it. */
    client?: KeyPair | undefined;
    user?: { name: string } & RegistryUser;
  },
): Promise<void> {
  const trust = path.join(host.directory, `trust-${o.registry.name.replace(':', '-')}`);
  await mkdir(trust, { recursive: true });
  await writeFile(path.join(trust, 'ca.crt'), await readFile(o.authority));
  if (o.client !== undefined) await putClientCertificate(trust, o.client);
  const login = path.join(host.directory, 'skopeo-auth.json');
  const auths = o.user === undefined ? {} : { [o.registry.name]: { auth: basic(o.user.name, o.user.password) } };
  await writeFile(login, JSON.stringify({ auths }), { mode: 0o600 });
  const options = ['--insecure-policy', 'copy', '-q', '--all', '--dest-cert-dir', trust, '--dest-authfile', login];
  const target = `docker://${o.registry.name}/${o.repository}:1`;
  await host.runOrThrow(['skopeo', ...options, `oci:${o.image.layout}:1`, target]);
}

/** Puts a client certificate into a directory as Docker, and skopeo, look for it. */
export async function putClientCertificate(directory: string, { certificate, key }: KeyPair): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'client.cert'), await readFile(certificate));
  await writeFile(path.join(directory, 'client.key'), await readFile(key), { mode: 0o600 });
}

/** The credentials of HTTP Basic, without the scheme. */
export function basic(name: string, password: string): string {
  return Buffer.from(`${name}:${password}`).toString('base64');
}

/** The seed goes into the first layer as well: two images share no blob unless their seeds are equal. */
async function shellEntries(seed: string): Promise<TarEntry[]> {
  const directories = ['bin/', 'data/', 'etc/', 'tmp/'].map((name) => ({ path: name, mode: 0o755, isDirectory: true }));
  const links = APPLETS.map((name) => ({ path: `bin/${name}`, mode: 0o777, linkTo: 'busybox' }));
  return [
    ...directories,
    { path: 'bin/busybox', mode: 0o755, content: await readFile(BUSYBOX) },
    ...links,
    { path: 'etc/seed', mode: 0o644, content: Buffer.from(`${seed}\n`) },
  ];
}

function dataLayer(seed: string, index: number, size: number): Buffer {
  const key = createHash('sha256').update(`${seed}/${index}`).digest();
  // AES in counter mode over zeros: a fast source of bytes that depend on the seed alone.
  const content = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
  return createTar([{ path: `data/${index}`, mode: 0o644, content }]);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
