import type { Target } from '../target.ts';
import { announceQueryTarget } from './announce-query.ts';
import { bencodeTarget } from './bencode.ts';
import { csrTarget } from './csr.ts';
import { extendedHandshakeTarget } from './extended-handshake.ts';
import { grantTarget } from './grant.ts';
import { hashListTarget } from './hash-list.ts';
import { joinBodyTarget } from './join-body.ts';
import { requestLineTarget } from './request-line.ts';
import { wireTarget } from './wire.ts';

/** Everything that is fuzzed. */
export const TARGETS: readonly Target[] = [
  wireTarget,
  extendedHandshakeTarget,
  bencodeTarget,
  hashListTarget,
  announceQueryTarget,
  joinBodyTarget,
  requestLineTarget,
  grantTarget,
  csrTarget,
];

/** The target of that name; throws if there is none. */
export function targetNamed(name: string): Target {
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined) throw new Error(`there is no target ${name}`);
  return target;
}
