import type { RegistryHost } from '@sealift/core';

/** A certificate chain and its key, both PEM, that this process shows to a registry. */
export interface ClientCertificate {
  readonly certificatePem: string;
  /** Never logged. */
  readonly privateKeyPem: string;
}

/** A registry that this process may ask. */
export interface RegistryConfig {
  readonly registry: RegistryHost;
  /** More trust anchors, PEM. They add to the system's and hold for the hosts that the registry redirects to, as in Docker. */
  readonly caPem?: string;
  /** Shown to the registry itself where it asks for one, and to no host that it redirects to. */
  readonly client?: ClientCertificate;
}
