import type { RuntimeName } from './runtime-plan.ts';

/** What makes a runtime read the files that have changed, in words for the operator. Nothing is restarted by us. */
export function restartAdvice(runtime: RuntimeName, paths: readonly string[]): string {
  const isDropIn = paths.some((path) => path.startsWith('/etc/systemd/'));
  const isConfig = paths.some((path) => path.endsWith('/config.toml'));
  switch (runtime) {
    case 'docker':
      // Of the two, daemon.json alone is read again without a restart.
      return isDropIn
        ? 'Run `systemctl daemon-reload && systemctl restart docker`: dockerd reads its proxy at its start.'
        : 'Run `systemctl reload docker`: it reads daemon.json again, and no container ends.';
    case 'containerd':
      return isConfig
        ? 'Run `systemctl restart containerd`: it reads config.toml at its start. Containers go on.'
        : 'Nothing has to be restarted: containerd reads hosts.toml at every pull.';
    case 'podman':
      return 'Nothing has to be restarted, but for `podman system service` where it runs: podman reads its files at every start.';
  }
}
