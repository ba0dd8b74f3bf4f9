import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type CriAnswer, pullByCri } from './cri-client.ts';
import type { Host, Outcome } from './host.ts';
import type { Service } from './service.ts';

/** Debian's containerd on a host, without dockerd, with the host's own /etc/containerd. */
export class Containerd {
  readonly host: Host;
  readonly #socket: string;
  readonly #service: Service;

  private constructor(host: Host, socket: string, service: Service) {
    this.host = host;
    this.#socket = socket;
    this.#service = service;
  }

  static async start(host: Host): Promise<Containerd> {
    const directory = path.join(host.directory, 'containerd');
    await mkdir(directory);
    const at = (name: string) => path.join(directory, name);
    const service = host.start('containerd', [
      ...['containerd', '--config', '/etc/containerd/config.toml', '--root', at('root'), '--state', at('state')],
      ...['--address', at('socket')],
    ]);
    await service.waitFor('its start', (line) => line.includes('containerd successfully booted') || undefined);
    return new Containerd(host, at('socket'), service);
  }

  /** `ctr images pull` by the host's hosts.toml, with credentials in `user:password` form. */
  async pull(image: string, { credentials }: { credentials?: string } = {}): Promise<Outcome> {
    return await this.#ctr(
      ...['images', 'pull', '--snapshotter', 'native', '--hosts-dir', '/etc/containerd/certs.d'],
      ...(credentials === undefined ? [] : ['--user', credentials]),
      image,
    );
  }

  /** Pulls through the CRI plugin, as a kubelet does for a pod with these credentials. */
  async pullForPod(image: string, user: { username: string; password: string }): Promise<CriAnswer> {
    return await pullByCri(this.#socket, { image, ...user });
  }

  /** Removes an image with its blobs, so that the next pull asks for all of them again. */
  async forget(image: string): Promise<void> {
    await this.#ctr('images', 'rm', '--sync', image);
  }

  async stop(): Promise<void> {
    await this.#service.stop();
  }

  #ctr(...args: readonly string[]): Promise<Outcome> {
    return this.host.run(['ctr', '--address', this.#socket, ...args]);
  }
}
