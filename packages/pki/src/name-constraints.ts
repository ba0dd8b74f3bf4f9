import { isIPv4, isIPv6 } from 'node:net';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  id_ce_nameConstraints,
  NameConstraints,
} from '@peculiar/asn1-x509';
import { x509 } from './x509.ts';

/**
 * A host that cannot exist (RFC 2606 §2). Permitting only it shuts a name type: one without any subtree would be
 * unrestricted, and an empty excluded subtree means "all" to Go and "none" to OpenSSL.
 */
const NO_HOST = 'invalid';

/** Name constraints (RFC 5280 §4.2.1.10) that let a CA name `hosts` (DNS names and IP addresses) and nothing else. */
export function hostNameConstraints(hosts: readonly string[]): x509.Extension {
  const addresses = hosts.filter((host) => isIPv4(host) || isIPv6(host));
  const names = hosts.filter((host) => !addresses.includes(host));
  const permitted = [
    ...(names.length === 0 ? [NO_HOST] : names).map((dNSName) => subtree({ dNSName })),
    ...addresses.map((address) => subtree({ iPAddress: `${address}/${isIPv4(address) ? 32 : 128}` })),
    // The types that Go knows. A directory name would make it refuse the whole certificate as not understood.
    subtree({ rfc822Name: NO_HOST }),
    subtree({ uniformResourceIdentifier: NO_HOST }),
  ];
  const excluded = addresses.length === 0 ? ['0.0.0.0/0', '::/0'].map((iPAddress) => subtree({ iPAddress })) : [];
  return criticalConstraints(permitted, excluded);
}

/** Name constraints that hold a swarm CA to URIs of its own cluster. DNS names and addresses stay free: a tracker has them. */
export function clusterNameConstraints(clusterId: string): x509.Extension {
  return criticalConstraints([subtree({ uniformResourceIdentifier: clusterId })], []);
}

function criticalConstraints(permitted: GeneralSubtree[], excluded: GeneralSubtree[]): x509.Extension {
  const constraints = new NameConstraints({
    permittedSubtrees: new GeneralSubtrees(permitted),
    ...(excluded.length === 0 ? {} : { excludedSubtrees: new GeneralSubtrees(excluded) }),
  });
  return new x509.Extension(id_ce_nameConstraints, true, AsnConvert.serialize(constraints));
}

function subtree(base: Partial<GeneralName>): GeneralSubtree {
  return new GeneralSubtree({ base: new GeneralName(base) });
}
