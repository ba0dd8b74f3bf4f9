import { hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import {
  parseClusterId,
  parseRegistryHost,
  pieceGeometry,
  pieceLengthFor,
  pieceSize,
  silentLogger,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import { BlobStore } from '@sealift/store';
import { type Benchmark, type BenchmarkContext, wholeNumber } from '../harness/benchmark.ts';
import { Party } from '../harness/party.ts';
import { createPayload, type Payload } from '../harness/payload.ts';
import { alternate, type Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { type Figures, ratioSpread, round, spreadOfFigure } from '../harness/statistics.ts';
import { formatSpread, formatTable } from '../harness/table.ts';
import type { PullOrder, ServeMode } from './client-party.ts';
import type { ServeOrder, Serving } from './serve-party.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const REGISTRY = parseRegistryHost('registry.bench');
const MODES: readonly ServeMode[] = ['intercepted', 'mirror'];
const SERVERS = ['sealift', 'bare'] as const;

/** The leg from the proxy to the runtime: what a byte from the store costs, against a byte from memory. */
export const serveBenchmark: Benchmark = {
  name: 'serve',
  summary: 'proxy to one client, intercepted TLS and plain mirror, against a bare Node server that sends from memory',
  options: { size: { type: 'string', default: '1024' } },
  defaultRounds: 5,
  run,
};

async function run({ scope, rounds, signal, say, values }: BenchmarkContext): Promise<object> {
  const size = wholeNumber(values, 'size') * MIB;
  const payload = await createPayload(scope.directory, { size, pieceLength: pieceLengthFor(size) });
  // Not in memory, as the rest: a file system in memory hands its bytes out page by page, which costs twice what the page
  // cache of a disk takes, and no node keeps its store there. Everything is read once before it counts.
  const order = await fillStore(scope.makeDiskDirectory(), payload);
  const contenders = MODES.flatMap((mode) =>
    SERVERS.map((server) => contender(scope, payload, order, { mode, server })),
  );
  const results = await alternate(contenders, { rounds, signal, say });
  const runsOf = (mode: ServeMode, server: string): readonly Figures[] => results.get(nameOf(mode, server)) ?? [];
  const rows = MODES.flatMap((mode) =>
    SERVERS.map((server) => [
      nameOf(mode, server),
      formatSpread(spreadOfFigure(runsOf(mode, server), 'mbps')),
      formatSpread(spreadOfFigure(runsOf(mode, server), 'cpu')),
      formatSpread(spreadOfFigure(runsOf(mode, server), 'rss')),
      formatSpread(ratioSpread(runsOf(mode, server), runsOf(mode, 'bare'), 'cpu')),
    ]),
  );
  const head = ['', 'MB/s', 'server CPU-s/GiB', 'server RSS MiB', 'CPU / bare'];
  say(`\n${size / MIB} MiB, ${rounds} rounds by turns, min/median/max\n${formatTable(head, rows)}`);
  return {
    ...Object.fromEntries(MODES.map((mode) => [mode, summaryOf((server) => runsOf(mode, server))])),
    rounds,
    sizeBytes: size,
  };
}

function summaryOf(runsOf: (server: string) => readonly Figures[]): object {
  const figures = (server: string): object => ({
    mbps: round(spreadOfFigure(runsOf(server), 'mbps').median),
    cpuPerGiB: round(spreadOfFigure(runsOf(server), 'cpu').median),
  });
  const { min, median, max } = ratioSpread(runsOf('sealift'), runsOf('bare'), 'cpu');
  return {
    sealift: figures('sealift'),
    bare: figures('bare'),
    cpuRatio: round(median),
    cpuRatioSpread: { min: round(min), max: round(max) },
  };
}

/** Puts the payload into a store, piece by piece, as a node would hold it. */
async function fillStore(directory: string, { file, size, pieceLength, digest }: Payload): Promise<ServeOrder> {
  const storeDirectory = path.join(directory, 'store');
  const swarmId = swarmIdOf(parseClusterId('bench'), REGISTRY, digest);
  const geometry = pieceGeometry(size, pieceLength);
  // Room for the blob and its metadata.
  const quotaBytes = 2 * size + 64 * MIB;
  const store = new BlobStore({ directory: storeDirectory, quotaBytes, clock: systemClock, log: silentLogger });
  await store.start();
  try {
    const blob = await store.create({ blob: { registry: REGISTRY, digest }, swarmId, geometry });
    await using source = await open(file);
    let buffer = new ArrayBuffer(pieceLength);
    for (let index = 0; index < geometry.pieceCount; index += 1) {
      const piece = new Uint8Array(buffer, 0, pieceSize(geometry, index));
      await source.read(piece, 0, piece.length, index * pieceLength);
      ({ buffer } = await blob.writePiece(index, buffer, hash('sha256', piece, 'buffer')));
    }
    await blob.markComplete();
  } finally {
    await store.stop();
  }
  return { registry: REGISTRY, digest, swarmId, store: storeDirectory, quotaBytes, file };
}

function contender(
  scope: Scope,
  { size, digest }: Payload,
  order: ServeOrder,
  { mode, server }: { mode: ServeMode; server: (typeof SERVERS)[number] },
): Contender {
  return {
    name: nameOf(mode, server),
    measure: async () => {
      const [serving, client] = [
        Party.node(scope, path.join(import.meta.dirname, 'serve-party.ts')),
        Party.node(scope, path.join(import.meta.dirname, 'client-party.ts')),
      ];
      try {
        const at = await serving.ask<Serving>(server, order);
        const pull: PullOrder = { mode, serving: at, registry: REGISTRY, digest, size, isChecked: false };
        // Once with a hash, so that what follows need only count; it also gives both servers the same warm start.
        await client.ask('pull', { ...pull, isChecked: true } satisfies PullOrder);
        const before = await serving.usage();
        const startedAt = performance.now();
        await client.ask('pull', pull);
        const seconds = (performance.now() - startedAt) / 1000;
        const after = await serving.usage();
        return {
          mbps: size / 1e6 / seconds,
          cpu: ((after.cpuSeconds - before.cpuSeconds) * GIB) / size,
          rss: after.peakRssMiB,
        };
      } finally {
        await Promise.all([serving.stop(), client.stop()]);
      }
    },
  };
}

function nameOf(mode: ServeMode, server: string): string {
  return `${mode} ${server}`;
}
