import path from 'node:path';
import { Party } from '../bench/harness/party.ts';
import type { Scope } from '../bench/harness/scope.ts';
import type { Cluster } from '../test/testbed/cluster.ts';

const PROCESS = path.join(import.meta.dirname, 'registry-front.ts');
const PORT = 5443;
const REGISTRY_PORT = 5000;

/** One way in which the registry misbehaves when it is asked for the content of a blob. */
export type FrontRule = {
  /** Only towards this address. */
  readonly client?: string;
  /** Only requests that go on with what has begun. @default all */
  readonly isRanged?: boolean;
  /** How many requests it strikes. @default all */
  readonly times?: number;
} & (
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The body ends after so many bytes: with a reset, or like a body that is complete. */
  | { readonly kind: 'cut'; readonly afterBytes: number; readonly isReset: boolean }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** After so many bytes of the body nothing comes for a while, in ms. */
  | { readonly kind: 'silent'; readonly afterBytes: number; readonly forMs: number }
  /** A bit of the first byte is flipped. */
  | { readonly kind: 'wrong' }
  /** Nothing is wrong with this one: it comes before one that is struck. */
  | { readonly kind: 'none' }
);

/** What the front's process reads at its start; the last three are files. */
export interface FrontOrder {
  readonly address: string;
  readonly port: number;
  readonly upstreamPort: number;
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
}

/** Stands before the real registry, under its name and with its certificate, and misbehaves by rules. */
export class FaultyFront {
  readonly #party: Party;

  private constructor(party: Party) {
    this.#party = party;
  }

  /** From now on all that other hosts send to the registry's port arrives here. */
  static async start(scope: Scope, cluster: Cluster): Promise<FaultyFront> {
    const { host } = cluster.registry;
    const pki = path.join(cluster.testbed.directory, 'pki');
    const front = new FaultyFront(Party.command(scope, 'unshare', host.enter([process.execPath, PROCESS])));
    const order: FrontOrder = {
      address: host.address,
      port: PORT,
      upstreamPort: REGISTRY_PORT,
      certificate: path.join(pki, 'registry.crt'),
      key: path.join(pki, 'registry.key'),
      authority: cluster.authority.certificate,
    };
    await front.#party.ask('start', order);
    const redirect = [
      '-i',
      'eth0',
      '-p',
      'tcp',
      '--dport',
      `${REGISTRY_PORT}`,
      '-j',
      'REDIRECT',
      '--to-ports',
      `${PORT}`,
    ];
    await host.runOrThrow(['iptables', '-t', 'nat', '-A', 'PREROUTING', ...redirect]);
    return front;
  }

  /** Replaces all rules; of those that fit and are not used up the first counts. */
  async setRules(rules: readonly FrontRule[]): Promise<void> {
    await this.#party.ask('rules', rules);
  }

  /** Shows this certificate from now on, and ends the connections of before. */
  async show(tls: Pick<FrontOrder, 'certificate' | 'key'>): Promise<void> {
    await this.#party.ask('show', tls);
  }

  /** Requests that a rule has struck. */
  async struck(): Promise<number> {
    return await this.#party.ask<number>('struck');
  }

  /** Content that clients got, in bytes by digest. */
  async sent(): Promise<ReadonlyMap<string, number>> {
    return new Map(Object.entries(await this.#party.ask<Record<string, number>>('sent')));
  }
}
