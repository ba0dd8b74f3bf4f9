import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { AppError, plainAddress } from '@sealift/core';

/** Addresses that are nobody's: unspecified, multicast, broadcast. Loopback is allowed, for a cluster on one machine. */
const nobody = new BlockList();
nobody.addSubnet('0.0.0.0', 8, 'ipv4');
nobody.addSubnet('224.0.0.0', 4, 'ipv4');
nobody.addAddress('255.255.255.255', 'ipv4');
nobody.addAddress('::', 'ipv6');
nobody.addSubnet('ff00::', 8, 'ipv6');

/** An address to send peers to; throws `INVALID_REQUEST` unless it is an IP address that one host can have. */
export function parsePeerAddress(address: string): string {
  const plain = plainAddress(address);
  // A zone chooses among the interfaces of whoever dials, so it means nothing to others (RFC 4007 §11).
  const isUsable =
    (isIPv4(plain) && !nobody.check(plain, 'ipv4')) ||
    (isIPv6(plain) && !plain.includes('%') && !nobody.check(plain, 'ipv6'));
  if (!isUsable) throw new AppError('INVALID_REQUEST', { reason: 'not the address of one host', parameter: 'ip' });
  return plain;
}
