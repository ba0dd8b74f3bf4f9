/** What the links of a rollout carry, in bytes per second. */
export interface LinkRates {
  readonly registryUp: number;
  readonly seederUp: number;
  readonly peerUp: number;
  readonly peerDown: number;
}

/**
 * The shortest time in which `nodes` can all have `bytes`, in seconds, whatever the protocol: each byte leaves the
 * registry and the seeder once, comes to each node once, and what all nodes get is what all uplinks carry.
 */
export function limitSeconds(bytes: number, nodes: number, rates: LinkRates): number {
  const { registryUp, seederUp, peerUp, peerDown } = rates;
  return Math.max(
    bytes / registryUp,
    bytes / seederUp,
    bytes / peerDown,
    // The last to have a byte has nobody to give it to: with one node no uplink but the seeder's counts.
    nodes === 1 ? 0 : (nodes * bytes) / (seederUp + nodes * peerUp),
  );
}

/** The same for one node that comes when `present` others already have `bytes`. */
export function lateLimitSeconds(bytes: number, present: number, { seederUp, peerUp, peerDown }: LinkRates): number {
  return Math.max(bytes / peerDown, bytes / (seederUp + present * peerUp));
}
