import type { NodeIdentity } from '@sealift/peer';

type Enrolment = Parameters<NodeIdentity['adopt']>[0];

/**
 * What a node is enrolled with. Its front keeps it in memory for the next engine: a join token may be good for one enrolment
 * only, and the tracker may be away.
 */
export interface KeptIdentity {
  readonly enrolment: Enrolment;
  readonly privateKeyPem: string;
}

/** The present identity in this form; `undefined` while there is none. */
export function keptIdentityOf({ credentials }: NodeIdentity): KeptIdentity | undefined {
  if (credentials === undefined) return undefined;
  const { identity, tls, cluster } = credentials;
  const { id: nodeId, notAfter } = identity;
  return {
    enrolment: { nodeId, certificate: tls.certificatePem, notAfter, cluster },
    privateKeyPem: tls.privateKeyPem,
  };
}

/** Reads what {@link keptIdentityOf} made and a channel carried; `undefined` for anything else. */
export function parseKeptIdentity(value: Record<string, unknown> | undefined): KeptIdentity | undefined {
  const { enrolment, privateKeyPem } = value ?? {};
  if (typeof enrolment !== 'object' || enrolment === null || typeof privateKeyPem !== 'string') return undefined;
  return { enrolment: enrolment as Enrolment, privateKeyPem };
}

/** Goes on with an identity. One that is no good any more does no harm: the node enrols as at its first start. */
export function takeUp(identity: NodeIdentity, { enrolment, privateKeyPem }: KeptIdentity): void {
  try {
    identity.adopt(enrolment, privateKeyPem);
  } catch {
    // Most likely its certificate has ended meanwhile.
  }
}
