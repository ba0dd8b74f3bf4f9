import { spawnSync } from 'node:child_process';
import { isRoot, missingPackages } from '../../scripts/system-parts.mjs';

/** Why this machine cannot carry a testbed, for a test's `skip`; `false` if it can. */
export function missingForTestbed(): string | false {
  if (!isRoot()) return 'network namespaces and dockerd need root on Linux';
  const missing = missingPackages();
  if (missing.length > 0) return `missing Debian packages: ${missing.join(' ')}`;
  // Root in a container may lack the right.
  const { status } = spawnSync('unshare', ['--mount', '--net', 'true']);
  return status === 0 ? false : 'this root may not make namespaces (CAP_SYS_ADMIN)';
}
