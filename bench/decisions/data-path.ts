import { createHash, hash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseClusterId, parseNodeId } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa, type TlsMaterial } from '@sealift/pki';
import { Child } from './child.ts';
import { compare, type Figures } from './rounds.ts';

const FILE_BYTES = 256 * 2 ** 20;
const PIECE_BYTES = 2 ** 20;
/** A file system in memory where there is one: a disk is not what is compared. */
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** The blob that moves, and what a receiver checks it against. */
interface Blob {
  readonly file: string;
  readonly sha256: string;
  /** SHA-256 of each piece, hex. */
  readonly pieceHashes: readonly string[];
}

/** What a peer process is told. */
interface PeerOptions extends Blob {
  readonly transport: string;
  readonly opponents: string;
  readonly pieceBytes: number;
  readonly tls: TlsMaterial;
}

/**
 * One blob from one process to another: webtorrent in plain text with its SHA-1, against a bare mutual-TLS stream with
 * SHA-256 of each piece. The stream has no picker, no choker and no codec: it is the floor that an engine of our own
 * stands on, not that engine.
 */
export async function compareDataPaths({ opponents, rounds }: { opponents: string; rounds: number }): Promise<void> {
  const directory = await mkdtemp(path.join(SCRATCH, 'sealift-bench-'));
  try {
    const blob = await createBlob(directory);
    const [seederTls, leecherTls] = await createIdentities();
    const contender = (name: string) => ({
      name,
      measure: async () => {
        const common = { transport: name, opponents, pieceBytes: PIECE_BYTES };
        return await measure(
          { ...common, ...blob, tls: seederTls },
          { ...common, ...blob, tls: leecherTls, directory: path.join(directory, 'received') },
        );
      },
    });
    await compare([contender('mutual-tls'), contender('webtorrent')], { rounds });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(forSeeder: PeerOptions, forLeecher: PeerOptions & { directory: string }): Promise<Figures> {
  const [seeder, leecher] = [Child.start('data-path-peer.ts'), Child.start('data-path-peer.ts')];
  const cpuOf = async () => await Promise.all([seeder, leecher].map((peer) => peer.ask<number>('cpuSeconds')));
  await mkdir(forLeecher.directory);
  try {
    const offer = await seeder.ask<object>('seed', forSeeder);
    await leecher.ask('prepare', forLeecher);
    const before = await cpuOf();
    const startedAt = performance.now();
    const received = await leecher.ask<string>('download', { ...forLeecher, offer });
    const seconds = (performance.now() - startedAt) / 1000;
    const after = await cpuOf();
    if ((await sha256Of(received)) !== forSeeder.sha256) throw new Error('what arrived is not what was sent');
    const perGiB = (cpuSeconds: number) => (cpuSeconds * 2 ** 30) / FILE_BYTES;
    const [seederCpu = 0, leecherCpu = 0] = after.map((cpu, index) => perGiB(cpu - (before[index] ?? 0)));
    return {
      'CPU of both ends, s per GiB': seederCpu + leecherCpu,
      'CPU of the seeder, s per GiB': seederCpu,
      'CPU of the leecher, s per GiB': leecherCpu,
      'speed, MB/s': FILE_BYTES / 1e6 / seconds,
    };
  } finally {
    await Promise.all([seeder.stop(), leecher.stop()]);
    await rm(forLeecher.directory, { recursive: true, force: true });
  }
}

async function createBlob(directory: string): Promise<Blob> {
  const file = path.join(directory, 'blob');
  const whole = createHash('sha256');
  const pieceHashes: string[] = [];
  for (let written = 0; written < FILE_BYTES; written += PIECE_BYTES) {
    const piece = randomBytes(PIECE_BYTES);
    whole.update(piece);
    pieceHashes.push(hash('sha256', piece));
    await appendFile(file, piece);
  }
  return { file, sha256: whole.digest('hex'), pieceHashes };
}

async function createIdentities(): Promise<[TlsMaterial, TlsMaterial]> {
  const ca = await SwarmCa.create({ clusterId: parseClusterId('bench') });
  const issue = async (id: string): Promise<TlsMaterial> => {
    const { privateKeyPem, csrPem } = await createSigningRequest();
    const profile = { role: 'node', id: parseNodeId(id), ttlMs: 3_600_000 } as const;
    const { certificatePem } = await ca.issue(profile, await checkCsr(csrPem));
    return { trustAnchors: ca.certificatePem, certificatePem, privateKeyPem };
  };
  return [await issue('seeder-1'), await issue('leecher-1')];
}

async function sha256Of(file: string): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(file), digest);
  return digest.digest('hex');
}
