import { AppError } from '@sealift/core';

/** Longest address, in characters: a DNS name, a port and a fingerprint fit well. */
const MAX_ADDRESS_LENGTH = 400;
const ADDRESS = /^(?<origin>https:\/\/[^\s/@?#\\%]+)\/?(?:#(?<fingerprint>sha256:[0-9a-f]{64}))?$/;

/** Where a tracker is, and which CA it must show. */
export interface TrackerAddress {
  /** `https://host[:port]`. */
  readonly origin: string;
  /** `sha256:<hex>` of the CA certificate's DER; `undefined` where the trust anchor comes as a file. */
  readonly fingerprint: string | undefined;
}

/** Parses `https://host:7443#sha256:<hex>`, the fragment being optional; throws `CONFIG_INVALID`. */
export function parseTrackerAddress(text: string): TrackerAddress {
  const groups = text.length <= MAX_ADDRESS_LENGTH ? ADDRESS.exec(text)?.groups : undefined;
  if (groups?.['origin'] === undefined || !URL.canParse(groups['origin'])) {
    throw new AppError('CONFIG_INVALID', {
      reason: 'the tracker address is not well-formed',
      advice: 'write it as https://host:7443#sha256:<fingerprint of the CA>',
    });
  }
  return { origin: new URL(groups['origin']).origin, fingerprint: groups['fingerprint'] };
}
