import type { Endpoint } from '../option-values.ts';

/** How a dockerd is told to listen for clients with a certificate; three spellings of the same. */
export interface DaemonSettings {
  /** `/etc/docker/daemon.json`, where nothing but this file says where dockerd listens. */
  readonly daemonJson: Readonly<Record<string, unknown>>;
  /** The same file beside a command line with `-H`: with `hosts` in both, dockerd does not start. */
  readonly daemonJsonWithoutHosts: Readonly<Record<string, unknown>>;
  readonly arguments: readonly string[];
  /** A systemd drop-in for the unit of Docker's own packages, to go with {@link daemonJsonWithoutHosts}. */
  readonly systemdDropIn: string;
}

/** The settings for certificates in `directory` of the daemon's host, listening on `listen` beside the local socket. */
export function daemonSettings({ directory, listen }: { directory: string; listen: Endpoint }): DaemonSettings {
  const address = `tcp://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;
  const at = (name: string): string => `${directory.replace(/\/+$/, '')}/${name}`;
  const tls = {
    tlsverify: true,
    tlscacert: at('ca.pem'),
    tlscert: at('server-cert.pem'),
    tlskey: at('server-key.pem'),
  };
  return {
    daemonJson: { ...tls, hosts: ['unix:///var/run/docker.sock', address] },
    daemonJsonWithoutHosts: tls,
    arguments: [
      '--tlsverify',
      `--tlscacert=${tls.tlscacert}`,
      `--tlscert=${tls.tlscert}`,
      `--tlskey=${tls.tlskey}`,
      ...['-H', 'unix:///var/run/docker.sock', '-H', address],
    ],
    // The empty one takes away the unit's own, beside which there can be no other.
    systemdDropIn: [
      '[Service]',
      'ExecStart=',
      `ExecStart=/usr/bin/dockerd -H fd:// -H ${address} --containerd=/run/containerd/containerd.sock`,
      '',
    ].join('\n'),
  };
}
