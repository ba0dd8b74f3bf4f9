import { parseTrackerAddress } from '@sealift/pki';
import { readCertificateFile } from './certificate-file.ts';
import { refuse } from './failure.ts';

/** Where a node finds its tracker, and which CA that must show. */
export interface TrackerTrust {
  /** `https://host:port`. */
  readonly origin: string;
  readonly anchor: { readonly fingerprint: string } | { readonly trustAnchors: string };
}

/** Reads `--tracker` and `--tracker-ca`; the file wins over the fingerprint. Throws `CONFIG_INVALID`. */
export async function readTrackerTrust({
  tracker,
  trackerCa,
}: {
  readonly tracker: string;
  readonly trackerCa: string | undefined;
}): Promise<TrackerTrust> {
  const { origin, fingerprint } = parseTrackerAddress(tracker);
  if (trackerCa !== undefined) {
    return { origin, anchor: { trustAnchors: await readCertificateFile('--tracker-ca', trackerCa) } };
  }
  if (fingerprint !== undefined) return { origin, anchor: { fingerprint } };
  return refuse(
    '--tracker',
    'it has no fingerprint; give the address that `sealift token create` prints, https://host:7443#sha256:<hex>, or --tracker-ca FILE',
  );
}
