import { readFile } from 'node:fs/promises';
import { childrenOf } from '../../bench/harness/process-usage.ts';
import type { Cluster, DockerNode } from './cluster.ts';
import { findInDirectory, findInLog, findInProcess, formsOf, type Leak } from './leaks.ts';

/**
 * Where a secret of this cluster lies that should not: in logs, data directories, arguments and environments of tracker and
 * nodes. Ends the cluster's services, so that what they write at their end is looked at as well.
 */
export async function findLeaks(cluster: Cluster, nodes: readonly DockerNode[]): Promise<Leak[]> {
  const joinSecret = (await readFile(cluster.joinToken.tokenFile, 'utf8')).trim();
  const registrySecrets = formsOf(await cluster.secrets(), Object.keys(cluster.tokens.users));
  const needles = [...registrySecrets, ...formsOf([joinSecret])];
  const services = [cluster.tracker.service, ...nodes.map(({ sealift }) => sealift.service)];
  const leaks: Leak[] = [];
  for (const service of services) {
    if (!service.isRunning) continue;
    for (const pid of [service.pid, ...childrenOf(service.pid)]) leaks.push(...(await findInProcess(pid, needles)));
  }
  await cluster.stopServices();
  for (const { logFile } of services) leaks.push(...(await findInLog(logFile, needles)));
  leaks.push(...(await findInDirectory(cluster.tracker.data, needles)));
  // A node's key never touches the disk; the tracker's CA key has to.
  for (const { sealift } of nodes)
    leaks.push(...(await findInDirectory(sealift.data, [...needles, 'PRIVATE KEY-----'])));
  return leaks;
}
