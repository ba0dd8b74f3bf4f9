import { AppError } from './errors.ts';

/** The name of one deployment with its own CA. A DNS label, so that it fits a SPIFFE trust domain. */
export type ClusterId = string & { readonly __brand: 'ClusterId' };

/** One enrolled host or seeder, as its certificate names it. Given out by the tracker, never chosen by the node. */
export type NodeId = string & { readonly __brand: 'NodeId' };

/** The swarm of one blob of one registry in one cluster: 40 lower-case hex digits; the info_hash on the wire. */
export type SwarmId = string & { readonly __brand: 'SwarmId' };

/** A site or rack of the cluster, as its operator named it: traffic inside is cheap, between two zones it is not. */
export type Zone = string & { readonly __brand: 'Zone' };

// RFC 1123 label: at most 63 characters, no hyphen at either end.
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const SWARM_ID = /^[0-9a-f]{40}$/;

/** Parses a cluster id; throws `ID_INVALID`. */
export function parseClusterId(text: string): ClusterId {
  if (!LABEL.test(text)) throw invalid('cluster id', 'use 1 to 63 lower-case letters, digits and inner hyphens');
  return text as ClusterId;
}

/** Parses a node id; throws `ID_INVALID`. */
export function parseNodeId(text: string): NodeId {
  if (!LABEL.test(text)) throw invalid('node id', 'use 1 to 63 lower-case letters, digits and inner hyphens');
  return text as NodeId;
}

/** Parses a zone; throws `ID_INVALID`. */
export function parseZone(text: string): Zone {
  if (!LABEL.test(text)) throw invalid('zone', 'use 1 to 63 lower-case letters, digits and inner hyphens');
  return text as Zone;
}

/** Parses a swarm id from hex; throws `ID_INVALID`. */
export function parseSwarmId(text: string): SwarmId {
  if (!SWARM_ID.test(text)) throw invalid('swarm id', 'use 40 lower-case hex digits');
  return text as SwarmId;
}

function invalid(kind: string, advice: string): AppError {
  return new AppError('ID_INVALID', { kind, advice });
}
