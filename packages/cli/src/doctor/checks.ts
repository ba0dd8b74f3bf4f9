import { credentialCheck } from './credential-check.ts';
import { diskCheck } from './disk-check.ts';
import type { Check } from './examination.ts';
import { certificateCheck, peerPortCheck } from './membership-checks.ts';
import { nameCheck } from './name-check.ts';
import { configuredCheck, engineCheck, nodeCheck } from './node-checks.ts';
import { proxyCheck } from './proxy-check.ts';
import { registryCheck } from './registry-check.ts';
import { rightCheck } from './right-check.ts';
import { runtimeCheck } from './runtime-check.ts';
import type { Subject } from './subject.ts';
import { clockCheck, trackerCheck } from './tracker-checks.ts';
import { trustCheck } from './trust-check.ts';

/** The way from the runtime to the registry and into the cluster, step by step. */
export function checksOf(subject: Subject): readonly Check[] {
  return [
    nodeCheck(subject),
    engineCheck(subject),
    diskCheck(subject),
    proxyCheck(subject),
    configuredCheck(subject),
    runtimeCheck(subject),
    nameCheck(subject),
    trustCheck(subject),
    registryCheck(subject),
    credentialCheck(subject),
    trackerCheck(subject),
    clockCheck(subject),
    certificateCheck(subject),
    peerPortCheck(subject),
    rightCheck(subject),
  ];
}
