import { isRoot, missingPackages } from '../../scripts/system-parts.mjs';
import { demandParts } from './system-parts.ts';

/** Makes sure of what hosts in network namespaces need; throws with the reason where this machine cannot have them. */
export function installMissingPackages({ say }: { say: (text: string) => void }): void {
  if (!isRoot()) throw new Error('network namespaces need root on Linux');
  demandParts(
    missingPackages().map((debianPackage) => ({
      debianPackage,
      isThere: () => !missingPackages().includes(debianPackage),
    })),
    { say },
  );
}
