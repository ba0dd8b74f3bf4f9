import path from 'node:path';
import { type Benchmark, type BenchmarkContext, wholeNumber } from '../harness/benchmark.ts';
import { createPayload, type Payload } from '../harness/payload.ts';
import { alternate, type Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { type Figures, ratioSpread, round, type Spread, spreadOfFigure } from '../harness/statistics.ts';
import { ARIA2, demandParts, LIBTORRENT } from '../harness/system-parts.ts';
import { formatSpread, formatTable } from '../harness/table.ts';
import { aria2 } from './aria2.ts';
import { BenchCluster } from './cluster.ts';
import { libtorrent } from './libtorrent.ts';
import { OnePeerTracker } from './one-peer-tracker.ts';
import { rawTls } from './raw-tls.ts';
import { sealift } from './sealift.ts';
import { createSslTorrentCa } from './ssl-torrent.ts';
import { writeTorrent } from './torrent.ts';
import { webtorrent } from './webtorrent.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const OURS = 'sealift';

type Results = ReadonlyMap<string, readonly Figures[]>;

/** One seeder process to one leecher process: what a byte costs, ours encrypted, others in clear and encrypted. */
export const engineBenchmark: Benchmark = {
  name: 'engine',
  summary: 'one seeder process to one leecher process, against raw TLS, libtorrent plain and SSL, aria2 and webtorrent',
  options: {
    size: { type: 'string', default: '1024' },
    'piece-length': { type: 'string', default: '1024' },
  },
  defaultRounds: 5,
  run,
};

async function run({ scope, rounds, signal, say, values }: BenchmarkContext): Promise<object> {
  demandParts([LIBTORRENT, ARIA2], { say });
  const payload = await createPayload(scope.directory, {
    size: wholeNumber(values, 'size', 1) * MIB,
    pieceLength: wholeNumber(values, 'piece-length', 16) * KIB,
  });
  await using tracker = await OnePeerTracker.start();
  const contenders = await prepareContenders(scope, payload, tracker);
  const results = await alternate(contenders, { rounds, signal, say });
  say(`\n${payload.size / MIB} MiB, ${rounds} rounds by turns, min/median/max\n${tablesOf(results)}`);
  return { ...summaryOf(results), rounds, sizeBytes: payload.size };
}

async function prepareContenders(
  scope: Scope,
  payload: Payload,
  tracker: OnePeerTracker,
): Promise<readonly Contender[]> {
  const { directory } = scope;
  const cluster = await BenchCluster.create();
  const sslCa = await createSslTorrentCa(directory);
  const metainfo = { data: payload.file, pieceLength: payload.pieceLength };
  const [plain, ssl, announced] = [
    path.join(directory, 'plain.torrent'),
    path.join(directory, 'ssl.torrent'),
    path.join(directory, 'announced.torrent'),
  ];
  await writeTorrent(plain, metainfo);
  await writeTorrent(ssl, { ...metainfo, sslCert: sslCa.caPem });
  await writeTorrent(announced, { ...metainfo, announce: tracker.announce });
  return [
    await sealift(scope, cluster, payload),
    rawTls(scope, cluster, payload),
    libtorrent(scope, payload, { torrent: plain }),
    libtorrent(scope, payload, { torrent: ssl, tls: sslCa }),
    aria2(scope, payload, { torrent: announced, tracker }),
    webtorrent(scope, payload, { torrent: plain }),
  ];
}

function tablesOf(results: Results): string {
  const figures = ['mbps', 'seeder', 'leecher', 'cpu', 'seederRss', 'leecherRss'];
  const rows = [...results].map(([name, runs]) => [
    name,
    ...figures.map((figure) => formatSpread(spreadOfFigure(runs, figure))),
  ]);
  const head = ['', 'MB/s', 'seeder CPU-s/GiB', 'leecher CPU-s/GiB', 'both', 'seeder RSS MiB', 'leecher RSS MiB'];
  const ours = results.get(OURS) ?? [];
  const ratios = [...results]
    .filter(([name]) => name !== OURS)
    .map(([name, runs]) => [
      `sealift / ${name}`,
      formatSpread(ratioSpread(ours, runs, 'cpu')),
      formatSpread(ratioSpread(ours, runs, 'mbps')),
    ]);
  return `${formatTable(head, rows)}\n\n${formatTable(['ratio, round by round', 'CPU', 'MB/s'], ratios)}`;
}

function summaryOf(results: Results): object {
  const all = Object.fromEntries([...results].map(([name, runs]) => [name, figuresIn(runs)]));
  const { [OURS]: ours, ...opponents } = all;
  const ratio = (opponent: string, figure: string): number =>
    round(ratioSpread(results.get(OURS) ?? [], results.get(opponent) ?? [], figure).median);
  return {
    sealift: ours,
    opponents,
    ratios: {
      cpuVsLibtorrentPlain: ratio('libtorrent-plain', 'cpu'),
      cpuVsLibtorrentSsl: ratio('libtorrent-ssl', 'cpu'),
      cpuVsRawTls: ratio('raw-tls', 'cpu'),
      cpuVsAria2: ratio('aria2', 'cpu'),
      cpuVsWebtorrent: ratio('webtorrent', 'cpu'),
      mbpsVsLibtorrentPlain: ratio('libtorrent-plain', 'mbps'),
    },
  };
}

/** Medians, and beside them the whole spread. */
function figuresIn(runs: readonly Figures[]): object {
  const spread = (figure: string): Spread => {
    const { min, median, max } = spreadOfFigure(runs, figure);
    return { min: round(min), median: round(median), max: round(max) };
  };
  const [mbps, seeder, leecher] = [spread('mbps'), spread('seeder'), spread('leecher')];
  return {
    mbps: mbps.median,
    cpuPerGiB: { seeder: seeder.median, leecher: leecher.median },
    spread: { mbps, cpuPerGiB: { seeder, leecher } },
  };
}
