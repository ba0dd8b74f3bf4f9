import { BlockList, isIP } from 'node:net';
import { AppError } from '@sealift/core';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether `address` is an IP address of this machine's loopback interface. IPv4 addresses mapped into IPv6 count. */
export function isLoopbackAddress(address: string | undefined): boolean {
  const version = isIP(address ?? '');
  return version !== 0 && LOOPBACK.check(address as string, version === 6 ? 'ipv6' : 'ipv4');
}

/** Throws `LISTEN_NOT_LOOPBACK` for an address that other machines may reach. */
export function requireLoopback(address: string | undefined): void {
  if (isLoopbackAddress(address)) return;
  throw new AppError('LISTEN_NOT_LOOPBACK', {
    address,
    reason: 'whoever reaches the proxy may use its network, and its mirror mode speaks plain HTTP',
    advice: 'Listen on 127.0.0.1 or [::1], or allow other addresses explicitly if a firewall protects this one.',
  });
}
