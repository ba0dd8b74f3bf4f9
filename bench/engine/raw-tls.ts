import path from 'node:path';
import type { TlsMaterial } from '@sealift/pki';
import { Party } from '../harness/party.ts';
import type { Payload } from '../harness/payload.ts';
import type { Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import type { BenchCluster } from './cluster.ts';
import { figuresOf, measureTransfer } from './transfer.ts';

/** What the sending side is told. */
export interface RawSend {
  readonly tls: TlsMaterial;
  readonly file: string;
  readonly size: number;
}

/** What the receiving side is told. */
export interface RawReceive {
  readonly tls: TlsMaterial;
  readonly port: number;
  readonly size: number;
}

/**
 * The floor: bytes from memory over one mutual TLS connection between two Node processes, counted and thrown away. No
 * protocol, no hash, no file.
 */
export function rawTls(scope: Scope, cluster: BenchCluster, { file, size }: Payload): Contender {
  const worker = path.join(import.meta.dirname, 'raw-tls-party.ts');
  return {
    name: 'raw-tls',
    measure: async () => {
      const [seeder, leecher] = [Party.node(scope, worker), Party.node(scope, worker)];
      try {
        const port = await seeder.ask<number>('send', { tls: cluster.seeder.tls, file, size } satisfies RawSend);
        const receive: RawReceive = { tls: cluster.leecher.tls, port, size };
        return figuresOf(await measureTransfer({ seeder, leecher }, size, () => leecher.ask('receive', receive)));
      } finally {
        await Promise.all([seeder.stop(), leecher.stop()]);
      }
    },
  };
}
