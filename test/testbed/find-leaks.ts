import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { childrenOf } from '../../bench/harness/process-usage.ts';
import type { Cluster, DockerNode } from './cluster.ts';
import { findInDirectory, findInLog, findInProcess, formsOf, type Leak } from './leaks.ts';

/**
 * Demands that no secret of this cluster lies where it should not: in logs, data directories, arguments and environments of
 * tracker and nodes. Ends the cluster's services, so that what they write at their end is looked at as well. `list` is told
 * what was searched, and a place with nothing in it is a mistake: a search of nothing finds nothing.
 */
export async function assertNoLeaks(
  cluster: Cluster,
  nodes: readonly DockerNode[],
  { list }: { list: (what: string) => void },
): Promise<void> {
  const joinSecret = (await readFile(cluster.joinToken.tokenFile, 'utf8')).trim();
  const registrySecrets = formsOf(await cluster.secrets(), Object.keys(cluster.tokens.users));
  const needles = [...registrySecrets, ...formsOf([joinSecret])];
  const searched = (what: string, count: number): void => {
    assert.ok(count > 0, `nothing to search: ${what}`);
    list(`searched ${what}: ${count}`);
  };
  searched('for forms of secrets', needles.length);
  const services = [cluster.tracker.service, ...nodes.map(({ sealift }) => sealift.service)];
  const leaks: Leak[] = [];
  for (const service of services) {
    const pids = service.isRunning ? [service.pid, ...childrenOf(service.pid)] : [];
    searched(`processes of ${service.name}`, pids.length);
    for (const pid of pids) leaks.push(...(await findInProcess(pid, needles)));
  }
  await cluster.stopServices();
  for (const { name, logFile } of services) {
    searched(`bytes in the log of ${name}`, (await stat(logFile)).size);
    leaks.push(...(await findInLog(logFile, needles)));
  }
  // A node's key never touches the disk; the tracker's CA key has to.
  const directories: [string, readonly string[]][] = [
    [cluster.tracker.data, needles],
    ...nodes.map(({ sealift }): [string, string[]] => [sealift.data, [...needles, 'PRIVATE KEY-----']]),
  ];
  for (const [directory, texts] of directories) {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const where = path.relative(cluster.testbed.directory, directory);
    searched(`files below ${where}`, entries.filter((entry) => entry.isFile()).length);
    leaks.push(...(await findInDirectory(directory, texts)));
  }
  assert.deepEqual(leaks, []);
}
