import { type BenchmarkContext, UsageError } from '../harness/benchmark.ts';

/** Rates of the shaped links in Mbit/s; `undefined` is a link without a limit. */
export interface Links {
  readonly registryUp: number | undefined;
  readonly seederUp: number | undefined;
  readonly peerUp: number | undefined;
  readonly peerDown: number | undefined;
}

/** What is rolled out to how many over what. */
export interface Setting {
  readonly nodes: number;
  readonly links: Links;
  /** Bytes of each layer. */
  readonly layers: readonly number[];
}

const MB = 1_000_000;
/** The smallest layer where only their number is given, in bytes: about a config. */
const SMALLEST_LAYER = 1_000;
const UNITS: Readonly<Record<string, number>> = { '': MB, K: 1_000, M: MB, G: 1_000 * MB };

/** Options that every benchmark on shaped links has. */
export const SETTING_OPTIONS = {
  nodes: { type: 'string', default: '16' },
  registry: { type: 'string', default: '100' },
  peer: { type: 'string', default: '400' },
  'peer-down': { type: 'string' },
  seeder: { type: 'string' },
  size: { type: 'string', default: '64' },
  layers: { type: 'string', default: '1' },
} as const;

/** Most nodes: the addresses of the testbed's network are one octet, and some are taken. */
const MAX_NODES = 200;

/**
 * Reads the options. A seeder has the uplink of a peer unless said otherwise; a downlink is as fast as the faster of the
 * two uplinks that feed it, as uplinks are what is scarce.
 */
export function parseSetting(values: BenchmarkContext['values']): Setting {
  const nodes = Number(values['nodes']);
  if (!Number.isSafeInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
    throw new UsageError(`--nodes wants a whole number from 1 to ${MAX_NODES}`);
  const registryUp = rateOf(values, 'registry');
  const peerUp = rateOf(values, 'peer');
  const seederUp = values['seeder'] === undefined ? peerUp : rateOf(values, 'seeder');
  const faster = registryUp === undefined || peerUp === undefined ? undefined : Math.max(registryUp, peerUp);
  const peerDown = values['peer-down'] === undefined ? faster : rateOf(values, 'peer-down');
  return { nodes, links: { registryUp, seederUp, peerUp, peerDown }, layers: layersOf(values) };
}

function rateOf(values: BenchmarkContext['values'], name: string): number | undefined {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value < 0) throw new UsageError(`--${name} wants Mbit/s, 0 for no limit`);
  return value === 0 ? undefined : value;
}

/** A number of layers, whose sizes grow evenly from 1 KB to `--size`, or a list of sizes: `1K,64K,32M`. */
function layersOf(values: BenchmarkContext['values']): number[] {
  const largest = sizeOf(String(values['size']), 'size');
  const text = String(values['layers']);
  if (!/^\d+$/.test(text)) return text.split(',').map((part) => sizeOf(part, 'layers'));
  const count = Number(text);
  if (count < 1 || count > 127) throw new UsageError('--layers wants 1 to 127 layers');
  const growth = count === 1 ? 1 : (largest / SMALLEST_LAYER) ** (1 / (count - 1));
  return Array.from({ length: count }, (_, index) => Math.round(largest / growth ** (count - 1 - index)));
}

function sizeOf(text: string, name: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMG]?)B?$/i.exec(text.trim()) ?? [];
  const bytes = Math.round(Number(digits) * (UNITS[(unit ?? '').toUpperCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes) || bytes < 1) throw new UsageError(`--${name} wants megabytes, or 64K, 32M, 1G`);
  return bytes;
}
