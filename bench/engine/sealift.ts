import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Digest, SwarmId } from '@sealift/core';
import type { GrantUse } from '@sealift/tracker-api';
import { ENGINE_HEAP_ARGS } from '../../packages/cli/src/heap.ts';
import { demandEqualFiles, warmMemory } from '../harness/files.ts';
import { Party } from '../harness/party.ts';
import type { Payload } from '../harness/payload.ts';
import type { Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { type BenchCluster, type BenchMember, REGISTRY } from './cluster.ts';
import type { DownloadOrder, IngestOrder, Neighbour, StartOrder } from './sealift-party.ts';
import { figuresOf, measureTransfer, type Transfer } from './transfer.ts';

const PARTY = path.join(import.meta.dirname, 'sealift-party.ts');

/**
 * Our own engine, as it runs in production: mutual TLS, grants both ways, signed piece hashes, SHA-256 of every piece, the real
 * store. One process seeds from its store, another downloads into its own.
 */
export async function sealift(scope: Scope, cluster: BenchCluster, payload: Payload): Promise<Contender> {
  const setting = new SealiftSetting(scope, cluster, payload);
  return { name: 'sealift', measure: async () => figuresOf(await setting.transfer()) };
}

/** A seeder process and a leecher process, both running and without a connection yet. */
export interface SealiftPair extends AsyncDisposable {
  readonly seeder: Party;
  readonly leecher: Party;
  /** Resolves when the leecher holds the whole blob. */
  download(): Promise<null>;
  /** Throws unless the leecher's file equals the payload. */
  demandEqual(): Promise<void>;
  /** Makes the leecher delete what it fetched. */
  forget(): Promise<void>;
  /** Stops engines and stores; the processes go on. */
  stopEngines(): Promise<void>;
}

/** What a party is told at its start: who it is, with a right to the payload and room for it in `store`. */
export async function startOrder(
  cluster: BenchCluster,
  { digest, size }: Payload,
  { member, use, store }: { member: BenchMember; use: GrantUse; store: string },
): Promise<StartOrder> {
  return {
    tls: member.tls,
    cluster: cluster.info,
    store,
    // Room for the blob and its metadata.
    quotaBytes: 2 * size + 2 ** 26,
    swarmId: cluster.swarmId(digest),
    grant: await cluster.grant(member, digest, use),
  };
}

/** Starts pairs of a seeder that holds a payload and a leecher that does not. */
export class SealiftSetting {
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

  async transfer(): Promise<Transfer> {
    const { size } = this.#payload;
    await using pair = await this.startPair();
    await warmMemory(this.#scope.directory, size);
    const transfer = await measureTransfer(pair, size, () => pair.download());
    await pair.demandEqual();
    await pair.stopEngines();
    return transfer;
  }

  /**
   * Starts both processes, with `nodeArgs` for Node itself. The seeder takes the payload in as from a registry, hashing it:
   * one that found it on its disk would hash it before its first answer.
   */
  async startPair({ nodeArgs = [] }: { nodeArgs?: readonly string[] } = {}): Promise<SealiftPair> {
    const { seeder: seederMember, leecher: leecherMember } = this.#cluster;
    const options = { nodeArgs: [...ENGINE_HEAP_ARGS, ...nodeArgs] };
    const [seeder, leecher] = [Party.node(this.#scope, PARTY, options), Party.node(this.#scope, PARTY, options)];
    const end = async (): Promise<void> => {
      await Promise.all([seeder.stop(), leecher.stop()]);
      for (const member of [seederMember, leecherMember]) {
        await rm(this.#storeOf(member), { recursive: true, force: true });
      }
    };
    let batches: readonly string[];
    try {
      const port = await seeder.ask<number>('start', await this.#start(seederMember, 'seed'));
      batches = await seeder.ask<readonly string[]>('ingest', {
        ...this.#blob(),
        file: this.#payload.file,
        contentKeyPem: this.#cluster.contentKeyPem,
      } satisfies IngestOrder);
      await leecher.ask('start', await this.#start(leecherMember, 'trade'));
      const neighbour: Neighbour = { host: '127.0.0.1', port, nodeId: seederMember.nodeId };
      await leecher.ask('meet', [neighbour]);
    } catch (error) {
      await end();
      throw error;
    }
    const order: DownloadOrder = { ...this.#blob(), batches };
    return {
      seeder,
      leecher,
      download: () => leecher.ask('download', order),
      demandEqual: async () =>
        demandEqualFiles(this.#payload.file, await leecher.ask<string>('dataFile', this.#blob())),
      forget: () => leecher.ask('forget', this.#blob()),
      stopEngines: async () => {
        await Promise.all([seeder.ask('stop'), leecher.ask('stop')]);
      },
      [Symbol.asyncDispose]: end,
    };
  }

  #start(member: BenchMember, use: GrantUse): Promise<StartOrder> {
    return startOrder(this.#cluster, this.#payload, { member, use, store: this.#storeOf(member) });
  }

  #blob(): { registry: typeof REGISTRY; digest: Digest; swarmId: SwarmId; size: number; pieceLength: number } {
    const { digest, size, pieceLength } = this.#payload;
    return { registry: REGISTRY, digest, swarmId: this.#swarmId, size, pieceLength };
  }

  #storeOf({ nodeId }: BenchMember): string {
    return path.join(this.#scope.directory, `store-${nodeId}`);
  }
}
