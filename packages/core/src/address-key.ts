import { isIPv4, isIPv6 } from 'node:net';

/**
 * What limits by address count under: an IPv4 address, or the /64 of an IPv6 address, because one host usually owns all
 * of the latter. IPv4 inside IPv6 counts as IPv4 (RFC 4291 §2.5.5.2).
 */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  const plain = plainAddress(address);
  if (isIPv4(plain)) return plain;
  if (!isIPv6(plain)) return 'unknown';
  const [head = '', tail] = plain.split('%', 1)[0]?.split('::', 2) ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** `address` without the prefix that a dual-stack socket puts before IPv4. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(?<ipv4>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/i.exec(address)?.groups?.['ipv4'];
  return mapped ?? address;
}
