import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** A program of the operating system that a benchmark needs, and the Debian package that holds it. */
export interface SystemPart {
  readonly debianPackage: string;
  /** Whether it is there. */
  readonly isThere: () => boolean;
}

/** Debian binds libtorrent to its own Python: another `python3` on the path does not see it. */
export const DEBIAN_PYTHON = '/usr/bin/python3';

export const PYTHON: SystemPart = { debianPackage: 'python3', isThere: () => succeeds(DEBIAN_PYTHON, ['--version']) };
export const LIBTORRENT: SystemPart = {
  debianPackage: 'python3-libtorrent',
  isThere: () => succeeds(DEBIAN_PYTHON, ['-c', 'import libtorrent']),
};
export const ARIA2: SystemPart = { debianPackage: 'aria2', isThere: () => succeeds('aria2c', ['--version']) };
export const TASKSET: SystemPart = { debianPackage: 'util-linux', isThere: () => succeeds('taskset', ['--version']) };

/**
 * Makes sure of `parts`: installs what is missing where this is root on a Debian, and throws with the command to run
 * where it is not.
 */
export function demandParts(parts: readonly SystemPart[], { say }: { say: (text: string) => void }): void {
  const missing = (): string[] => parts.filter((part) => !part.isThere()).map(({ debianPackage }) => debianPackage);
  const names = missing();
  if (names.length === 0) return;
  const install = ['install', '-y', '--no-install-recommends', ...names];
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    say(`installing ${names.join(' ')}`);
    apt(['update', '-qq']);
    apt(install);
    if (missing().length === 0) return;
  }
  throw new Error(`a program is missing; install it with: apt-get ${install.join(' ')}`);
}

function apt(args: readonly string[]): void {
  // Standard input is closed: a question would hang, and there is nobody to answer.
  const { status, stderr } = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed: ${stderr}`);
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
