import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Digest, SwarmId } from '@sealift/core';
import type { GrantUse } from '@sealift/tracker-api';
import { demandEqualFiles, warmMemory } from '../harness/files.ts';
import { Party } from '../harness/party.ts';
import type { Payload } from '../harness/payload.ts';
import type { Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { type BenchCluster, type BenchMember, REGISTRY } from './cluster.ts';
import type { DownloadOrder, IngestOrder, StartOrder } from './sealift-party.ts';
import { figuresOf, measureTransfer } from './transfer.ts';

const PARTY = path.join(import.meta.dirname, 'sealift-party.ts');

/**
 * Our own engine, as it runs in production: mutual TLS, grants both ways, signed piece hashes, SHA-256 of every piece, the real
 * store. One process seeds from its store, another downloads into its own.
 */
export async function sealift(scope: Scope, cluster: BenchCluster, payload: Payload): Promise<Contender> {
  const setting = new Setting(scope, cluster, payload);
  const batches = await setting.fillSeeder();
  return { name: 'sealift', measure: async () => figuresOf(await setting.transfer(batches)) };
}

class Setting {
  readonly #scope: Scope;
  readonly #cluster: BenchCluster;
  readonly #payload: Payload;
  readonly #swarmId: SwarmId;

  constructor(scope: Scope, cluster: BenchCluster, payload: Payload) {
    this.#scope = scope;
    this.#cluster = cluster;
    this.#payload = payload;
    this.#swarmId = cluster.swarmId(payload.digest);
  }

  /** Puts the file into the seeder's store the way a seeder does; returns the signed hashes, base64. */
  async fillSeeder(): Promise<readonly string[]> {
    const seeder = Party.node(this.#scope, PARTY);
    await seeder.ask('start', await this.#start(this.#cluster.seeder, 'seed'));
    const order: IngestOrder = {
      ...this.#blob(),
      file: this.#payload.file,
      contentKeyPem: this.#cluster.contentKeyPem,
    };
    const batches = await seeder.ask<readonly string[]>('ingest', order);
    await seeder.ask('stop');
    await seeder.stop();
    return batches;
  }

  async transfer(batches: readonly string[]) {
    const { seeder: seederMember, leecher: leecherMember } = this.#cluster;
    const { file, size } = this.#payload;
    await warmMemory(this.#scope.directory, size);
    const [seeder, leecher] = [Party.node(this.#scope, PARTY), Party.node(this.#scope, PARTY)];
    try {
      const port = await seeder.ask<number>('start', await this.#start(seederMember, 'seed'));
      const peer = { host: '127.0.0.1', port, nodeId: seederMember.nodeId };
      await leecher.ask('start', await this.#start(leecherMember, 'trade', peer));
      const order: DownloadOrder = { ...this.#blob(), batches };
      const transfer = await measureTransfer({ seeder, leecher }, size, () => leecher.ask('download', order));
      await demandEqualFiles(file, await leecher.ask<string>('dataFile'));
      await Promise.all([seeder.ask('stop'), leecher.ask('stop')]);
      return transfer;
    } finally {
      await Promise.all([seeder.stop(), leecher.stop()]);
      await rm(this.#storeOf(leecherMember), { recursive: true, force: true });
    }
  }

  async #start(member: BenchMember, use: GrantUse, peer?: NonNullable<StartOrder['peer']>): Promise<StartOrder> {
    return {
      tls: member.tls,
      cluster: this.#cluster.info,
      store: this.#storeOf(member),
      // Room for the blob and its metadata.
      quotaBytes: 2 * this.#payload.size + 2 ** 26,
      swarmId: this.#swarmId,
      grant: await this.#cluster.grant(member, this.#payload.digest, use),
      ...(peer === undefined ? {} : { peer }),
    };
  }

  #blob(): { registry: typeof REGISTRY; digest: Digest; swarmId: SwarmId; size: number; pieceLength: number } {
    const { digest, size, pieceLength } = this.#payload;
    return { registry: REGISTRY, digest, swarmId: this.#swarmId, size, pieceLength };
  }

  #storeOf({ nodeId }: BenchMember): string {
    return path.join(this.#scope.directory, `store-${nodeId}`);
  }
}
