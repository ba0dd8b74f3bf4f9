import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** Debian's package is for Debian's Python, whatever other Python comes first. */
const DEBIAN_PYTHON = '/usr/bin/python3';
/** Time between two looks at a client, in ms: libtorrent itself looks around twice a second. */
const POLL_MS = 100;

/** What a client says about itself. */
export interface LibtorrentStatus {
  readonly isSeeding: boolean;
  /** Bytes of blocks that came from peers. */
  readonly downloaded: number;
  /** Bytes of blocks that went to peers. */
  readonly uploaded: number;
  /** What it has seen since it was last asked. */
  readonly news: readonly string[];
}

/** A stock libtorrent in a process of its own. */
export class LibtorrentClient implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  /** Everything it has seen. */
  readonly history: string[] = [];

  constructor() {
    const script = path.join(import.meta.dirname, 'libtorrent_client.py');
    this.#child = spawn(DEBIAN_PYTHON, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('a pipe is missing');
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Adds a torrent file, with a certificate for it unless there is none; returns the torrent's info hash. */
  async start(order: {
    readonly torrent: string;
    readonly directory: string;
    readonly certificate?: string;
    readonly key?: string;
  }): Promise<string> {
    return (await this.#ask('start', { ...order, port: await freePort() })) as string;
  }

  async connect(port: number): Promise<void> {
    await this.#ask('connect', { host: '127.0.0.1', port });
  }

  async announce(): Promise<void> {
    await this.#ask('announce');
  }

  async status(): Promise<LibtorrentStatus> {
    const status = (await this.#ask('status')) as LibtorrentStatus;
    this.history.push(...status.news);
    return status;
  }

  /** Looks until `isMet`, and does `meanwhile` in between; rejects with the reason of `signal`. */
  async until(
    isMet: (status: LibtorrentStatus) => boolean | Promise<boolean>,
    { signal, meanwhile = async () => {} }: { signal: AbortSignal; meanwhile?: () => Promise<void> },
  ): Promise<LibtorrentStatus> {
    for (;;) {
      const status = await this.status();
      if (await isMet(status)) return status;
      if (signal.aborted)
        throw new Error(`libtorrent: ${this.history.slice(-40).join('\n')}`, { cause: signal.reason });
      await meanwhile();
      await delay(POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #ask(name: string, argument: object = {}): Promise<unknown> {
    this.#child.stdin?.write(`${JSON.stringify({ name, argument })}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error('libtorrent has ended');
    const answer = JSON.parse(value) as { result?: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(`libtorrent: ${answer.error}`);
    return answer.result;
  }
}

/** Why there is no libtorrent here; `false` if there is. The value of a test's `skip`. */
export function libtorrentMissing(): string | false {
  const { status } = spawnSync(DEBIAN_PYTHON, ['-c', 'import libtorrent']);
  return status === 0 ? false : 'python3-libtorrent is not installed';
}

/** libtorrent takes a port, not whatever is free. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
