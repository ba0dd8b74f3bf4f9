import type { Digest } from '@sealift/core';

/** Addresses that a crowd comes from: the tracker enrols 20 a second of each. */
export const CROWD_ADDRESSES = 40;

/** Who makes up a crowd, and what it is after. */
export interface CrowdOrder {
  readonly peers: number;
  /** To announce at the tracker, or to open connections to the seeder. */
  readonly kind: 'announce' | 'connect';
  /** Address and fingerprint as `sealift token create` prints them. */
  readonly tracker: string;
  readonly joinTokenFile: string;
  /** IP address of the tracker's host. */
  readonly host: string;
  readonly seederPort: number;
  readonly registry: string;
  readonly repository: string;
  readonly digests: readonly Digest[];
  readonly authorization: string;
}

/** What became of a crowd. */
export interface CrowdResult {
  /** From dial to answer of those who were served, in ms, in ascending order. */
  readonly latenciesMs: readonly number[];
  readonly refused: number;
  /** Some of the reasons. */
  readonly reasons: readonly string[];
}

/** The address of the `index`th part of the crowd. */
export function crowdAddress(index: number): string {
  return `10.77.0.${100 + (index % CROWD_ADDRESSES)}`;
}
