import type { Fault } from '../fault.ts';
import { certificateExpired } from './certificate.ts';
import { corruptPeers } from './corruption.ts';
import { fewDescriptors } from './descriptors.ts';
import { diskFull, diskReadOnly, trackerDiskFull, trustDiskFull } from './disk.ts';
import { engineFrozen, engineKilled, nodeKilled } from './engine.ts';
import { addressChange, linkCut, oneWayCut, peerPortUnreachable } from './links.ts';
import { announceCrowd, blobFlood, seederCrowd } from './overload.ts';
import { allPeersGone, peerFrozen } from './peers.ts';
import { registryFaults, registryNewCa, registrySlow, registryWrongBytes } from './registry.ts';
import { seederGone, seederUnreachable } from './seeder.ts';
import { slowNode } from './slow-node.ts';
import { trackerFrozen, trackerKilled, trackerRestarted, trackerStopped } from './tracker.ts';

/** The rows of the matrix, in order. */
export const FAULTS: readonly Fault[] = [
  seederGone,
  seederUnreachable,
  trackerKilled,
  trackerFrozen,
  trackerRestarted,
  trackerStopped,
  allPeersGone,
  peerFrozen,
  engineKilled,
  engineFrozen,
  nodeKilled,
  linkCut,
  oneWayCut,
  peerPortUnreachable,
  addressChange,
  ...registryFaults,
  registryWrongBytes,
  registrySlow,
  registryNewCa,
  corruptPeers,
  certificateExpired,
  diskFull,
  diskReadOnly,
  trustDiskFull,
  trackerDiskFull,
  fewDescriptors,
  slowNode,
  blobFlood,
  announceCrowd,
  seederCrowd,
];
