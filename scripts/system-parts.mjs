// What of the operating system the end-to-end tests and the Docker demo need. Plain JavaScript on built-ins: the set-up runs
// it on whatever Node it meets, the tests on ours.
import { accessSync, closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} SystemPart
 * @property {string} debianPackage
 * @property {readonly string[]} commands Found on the path, or the part is missing.
 */

/** @type {readonly SystemPart[]} */
const PARTS = [
  { debianPackage: 'docker.io', commands: ['dockerd', 'docker'] },
  { debianPackage: 'docker-compose', commands: ['docker-compose'] },
  { debianPackage: 'containerd', commands: ['containerd', 'ctr'] },
  { debianPackage: 'docker-registry', commands: ['docker-registry'] },
  { debianPackage: 'skopeo', commands: ['skopeo'] },
  { debianPackage: 'podman', commands: ['podman'] },
  { debianPackage: 'busybox-static', commands: [] },
  { debianPackage: 'iptables', commands: ['iptables'] },
  { debianPackage: 'iproute2', commands: ['ip', 'tc'] },
  { debianPackage: 'util-linux', commands: ['unshare', 'nsenter'] },
  { debianPackage: 'openssl', commands: ['openssl'] },
];

/** Where daemons live; often not on the path of a plain user's shell. */
const DAEMON_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/**
 * The Debian packages of the parts that are missing.
 * @returns {string[]}
 */
export function missingPackages() {
  return PARTS.filter(({ debianPackage, commands }) => {
    if (debianPackage === 'busybox-static') return !isStatic('/bin/busybox');
    return !commands.every(isOnPath);
  }).map(({ debianPackage }) => debianPackage);
}

/**
 * Whether this process is root on a Debian, and so may install what is missing.
 * @returns {boolean}
 */
export function canInstallPackages() {
  return isRoot() && isOnPath('apt-get') && isOnPath('dpkg');
}

/**
 * Whether this process is root, as network namespaces and dockerd demand.
 * @returns {boolean}
 */
export function isRoot() {
  return process.platform === 'linux' && process.getuid?.() === 0;
}

/** @param {string} command */
function isOnPath(command) {
  const directories = [...(process.env['PATH'] ?? '').split(path.delimiter), ...DAEMON_DIRECTORIES];
  return directories.some((directory) => isExecutable(path.join(directory, command)));
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // Not there, or not ours to run.
  }
}

/**
 * Whether an ELF file runs without a dynamic loader: it has no PT_INTERP among its program headers (elf(5)). A test image
 * holds nothing but this file, so a busybox of the dynamic kind would not start there.
 * @param {string} file
 */
function isStatic(file) {
  const head = Buffer.alloc(4096);
  try {
    const descriptor = openSync(file, 'r');
    readSync(descriptor, head, 0, head.length, 0);
    closeSync(descriptor);
  } catch {
    return false; // There is no busybox.
  }
  const isElf64 = head.readUInt32BE(0) === 0x7f454c46 && head[4] === 2;
  if (!isElf64) return false;
  const [table, entrySize, count] = [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)];
  for (let index = 0; index < count; index += 1) {
    const offset = table + index * entrySize;
    if (offset + 4 > head.length) return false;
    if (head.readUInt32LE(offset) === 3) return false;
  }
  return true;
}

/**
 * The text of an os-release file's field, for messages.
 * @returns {string}
 */
export function systemName() {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}
