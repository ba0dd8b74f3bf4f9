import { AppError, isAppError, parseHostPort, parseRegistryHost, type RegistryHost } from '@sealift/core';

/** Where a CONNECT request wants to go (RFC 9112 §3.2.3, authority-form). */
export interface ConnectTarget {
  /** Lower-case name or address; IPv6 without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** The registry that this place belongs to. */
  readonly registry: RegistryHost;
}

/**
 * Parses the target of a CONNECT strictly: a name or an address, and a port. Throws `CONNECT_TARGET_INVALID` for anything
 * else: user information, a path, a missing port, an IPv6 address that is none.
 */
export function parseConnectTarget(text: string, { maxLength }: { maxLength: number }): ConnectTarget {
  const place = text.length <= maxLength ? parseHostPort(text) : undefined;
  if (place?.port === undefined) {
    throw new AppError('CONNECT_TARGET_INVALID', { advice: 'write it as in CONNECT registry.example:443' });
  }
  // The place that was asked for, under whatever name the registry goes.
  return { hostname: place.hostname, port: place.port, registry: parseRegistryHost(text) };
}

/** The registry that `text` spells, or `undefined` if it spells none. */
export function tryParseRegistryHost(text: string): RegistryHost | undefined {
  try {
    return parseRegistryHost(text);
  } catch (error) {
    if (isAppError(error, 'REGISTRY_INVALID')) return undefined;
    throw error;
  }
}
