// `node scripts/set-up.mjs --for demo|demo-docker|check|test`: installs what is missing, and says nothing when nothing is.
// Plain JavaScript on built-ins, because it runs before anything is installed, on whatever Node from 20 on it meets.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { canInstallPackages, isRoot, missingPackages, systemName } from './system-parts.mjs';

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const MODULES = path.join(ROOT, 'node_modules');
const LOCK = path.join(ROOT, '.sealift', 'set-up.lock');
/** Longest time to wait for another set-up of this directory, in ms. */
const LOCK_TIMEOUT_MS = 15 * 60_000;
/** Services that some of the packages start on a machine with an init; the tests start their own. */
const SERVICES = [
  ...['docker.socket', 'docker.service', 'containerd.service', 'docker-registry.service'],
  ...['podman.socket', 'podman.service', 'podman-restart.service', 'podman-auto-update.timer'],
];

/** What each door needs. */
const PURPOSES = new Map([
  ['demo', { needsSystemParts: false }],
  ['check', { needsSystemParts: false }],
  ['demo-docker', { needsSystemParts: true }],
  ['test', { needsSystemParts: true }],
]);

const isCi = process.env['CI'] === 'true';

async function main() {
  const [flag, purpose] = process.argv.slice(2);
  const needs = PURPOSES.get(purpose ?? '');
  if (flag !== '--for' || needs === undefined) {
    fail(`usage: node scripts/set-up.mjs --for ${[...PURPOSES.keys()].join('|')}`);
  }
  if (!hasModules()) await withLock(() => hasModules() || installModules());
  if (!needs.needsSystemParts || missingPackages().length === 0) return;
  if (canInstallPackages()) await withLock(installSystemParts);
  else reportMissingParts();
}

/**
 * Whether what is installed is what the lock file says. npm leaves its own account of an installation in node_modules, as its
 * last step; so half an installation has none, and `npm install` by hand is as good as ours.
 */
function hasModules() {
  const locked = packagesOf(path.join(ROOT, 'package-lock.json'));
  const installed = packagesOf(path.join(MODULES, '.package-lock.json'));
  for (const [name, { version, optional = false }] of locked) {
    // Optional ones are for other platforms.
    if (!(installed.get(name)?.version === version || (optional && !installed.has(name)))) return false;
  }
  return locked.size > 0 && hasRightNode();
}

/**
 * The packages of a lock file by their place below node_modules; none if there is no such file.
 * @param {string} file
 * @returns {Map<string, { version?: string, optional?: boolean }>}
 */
function packagesOf(file) {
  /** @type {{ packages?: Record<string, { version?: string, optional?: boolean }> }} */
  const { packages = {} } = JSON.parse(readText(file) || '{}');
  return new Map(Object.entries(packages).filter(([name]) => name.startsWith('node_modules/')));
}

/** The Node that the project runs on comes from its own dependency `node`, whatever Node runs this file. */
function hasRightNode() {
  const { stdout, status } = spawnSync(path.join(MODULES, '.bin', 'node'), ['--version'], { encoding: 'utf8' });
  return status === 0 && stdout.startsWith('v24.');
}

function installModules() {
  say('installing the dependencies (npm ci), which takes less than a minute');
  // Within `npm test` this is the npm that the user called.
  const npm = process.env['npm_execpath'];
  const [command, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const { status, error } = spawnSync(
    command,
    [...first, 'ci', '--include=dev', '--ignore-scripts=false', '--loglevel=error'],
    {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  if (error || status !== 0) {
    fail(`npm ci failed (${error?.message ?? `exit code ${status}`}). Its output above says why; then run this again.`);
  }
  if (!hasRightNode()) {
    fail(
      'node_modules/.bin/node is not Node 24. The package `node` fetches it in its install script: check that ' +
        'nothing forbids install scripts (`npm config get ignore-scripts`), then run this again.',
    );
  }
}

function installSystemParts() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  say(`installing ${missing.join(' ')}`);
  apt(['update', '-qq']);
  apt(['install', '-y', '-qq', '--no-install-recommends', 'ca-certificates', ...missing]);
  stopStartedServices();
  const still = missingPackages();
  if (still.length > 0) fail(`apt-get succeeded, but these are still missing: ${still.join(' ')}`);
}

function reportMissingParts() {
  const reason = isRoot() ? `${systemName()} is not a Debian` : 'this is not root';
  const text = `${reason}, so these cannot be installed: ${missingPackages().join(' ')}. Tests that need them are skipped`;
  if (isCi) fail(`${text}, which CI does not accept: install them first.`);
  say(`${text}; to run them, install what these Debian packages hold.`);
}

/** @param {readonly string[]} args */
function apt(args) {
  // Standard input is closed: a question would hang, and there is nobody to answer.
  const { status, stdout, stderr, error } = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error || status !== 0) {
    fail(`apt-get ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`);
  }
}

/** The set-up of a test must not leave daemons running that nobody asked for. */
function stopStartedServices() {
  if (!existsSync('/run/systemd/system')) return;
  say(`stopping what the packages started: ${SERVICES.join(' ')}`);
  for (const service of SERVICES) spawnSync('systemctl', ['disable', '--now', service], { stdio: 'ignore' });
}

/**
 * Does the work while no other set-up of this directory is at work: a second one waits, and then finds it done.
 * @param {() => void} work
 */
async function withLock(work) {
  const endsAt = Date.now() + LOCK_TIMEOUT_MS;
  mkdirSync(path.dirname(LOCK), { recursive: true });
  for (let isFirst = true; !tryLock(); isFirst = false) {
    const owner = Number(readText(LOCK));
    // 0: the lock was made and its owner not yet written, or it died there; only time tells.
    if (owner > 0 && !isAlive(owner)) rmSync(LOCK, { force: true });
    else if (Date.now() > endsAt) fail(`another set-up (process ${owner}) holds ${LOCK}; if there is none, remove it`);
    else {
      if (isFirst) say(`waiting for the set-up that process ${owner} runs`);
      await setTimeout(200);
    }
  }
  const release = () => rmSync(LOCK, { force: true });
  process.once('exit', release);
  work();
  process.off('exit', release);
  release();
}

function tryLock() {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'EEXIST') return false;
    fail(`cannot write ${LOCK} (${code}): run this as the owner of the directory`);
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} file */
function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // Not there: not installed, or not locked.
  }
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`set-up: ${text}\n`);
}

/**
 * @param {string} text
 * @returns {never}
 */
function fail(text) {
  say(text);
  process.exit(1);
}

await main();
