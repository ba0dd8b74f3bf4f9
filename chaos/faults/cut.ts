import type { Host } from '../../test/testbed/host.ts';

/** Ports of the testbed's processes, see test/testbed/sealift.ts. */
export const PORTS = { tracker: 7443, seeder: 7444, peer: 7445 } as const;

/** Has a host's kernel treat what arrives as the rule says, until the returned function is called. */
export async function filter(host: Host, rule: readonly string[]): Promise<() => Promise<void>> {
  await host.runOrThrow(['iptables', '-I', 'INPUT', ...rule]);
  return async () => {
    await host.runOrThrow(['iptables', '-D', 'INPUT', ...rule]);
  };
}

/** Resets all that speaks to a port, open connections too: what is left of a process that has died. */
export async function reset(host: Host, port: number): Promise<() => Promise<void>> {
  return await filter(host, ['-p', 'tcp', '--dport', `${port}`, '-j', 'REJECT', '--reject-with', 'tcp-reset']);
}
