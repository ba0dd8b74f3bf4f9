import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Cluster } from '../../test/testbed/cluster.ts';
import type { Host } from '../../test/testbed/host.ts';

const PORT = 5000;

/**
 * Debian's docker-registry as a pull-through cache, as many a site runs one: with credentials for the registry behind it,
 * and open to everybody on its network. Gives its name for image references.
 */
export async function startPullThrough(
  cluster: Cluster,
  host: Host,
  { username, password }: { username: string; password: string },
): Promise<string> {
  const name = `${host.name}:${PORT}`;
  const tls = await cluster.authority.issue('pull-through', { dnsNames: [host.name], addresses: [host.address] });
  const data = path.join(host.directory, 'pull-through');
  await mkdir(data);
  const configuration = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: data } },
    http: { addr: `${host.address}:${PORT}`, host: `https://${name}`, secret: 'one process needs no shared one', tls },
    proxy: { remoteurl: `https://${cluster.registry.name}`, username, password },
  };
  const file = path.join(host.directory, 'pull-through.yml');
  // JSON is YAML. It holds a password.
  await writeFile(file, JSON.stringify(configuration), { mode: 0o600 });
  const env = { SSL_CERT_FILE: cluster.authority.certificate };
  host.start('pull-through', ['docker-registry', 'serve', file], { env });
  return name;
}
