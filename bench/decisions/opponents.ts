import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** What we measure ourselves against, pinned. None of it is a dependency of Sealift. */
const OPPONENTS: Readonly<Record<string, string>> = {
  'node-forge': '1.4.3',
  'http-mitm-proxy': '1.1.0',
  webtorrent: '3.0.21',
};

const WEBRTC_STUB = path.join(import.meta.dirname, '..', '..', 'stubs', 'webrtc-polyfill');

/**
 * Installs the opponents into `directory`, without running an install script of theirs. Overrides count only in the
 * package.json of the directory itself, so that is written first: webtorrent ends in a native WebRTC module otherwise.
 */
export async function installOpponents(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const manifest = { private: true, dependencies: OPPONENTS, overrides: { 'webrtc-polyfill': `file:${WEBRTC_STUB}` } };
  await writeFile(path.join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync('npm', ['install', '--prefix', directory, '--ignore-scripts', ...quiet], {
    cwd: directory,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`npm install in ${directory} ended with ${status}`);
}

/** The module of an opponent, in the shape that the caller declares for it. Throws if it is not installed as pinned. */
export async function loadOpponent<T>(name: string, { directory }: { directory: string }): Promise<T> {
  const require = createRequire(path.join(path.resolve(directory), 'package.json'));
  const manifest = path.join(path.resolve(directory), 'node_modules', name, 'package.json');
  const version = existsSync(manifest) ? (require(manifest) as { version: string }).version : 'missing';
  if (version !== OPPONENTS[name]) {
    throw new Error(
      `${name} in ${directory} is ${version}, wanted ${OPPONENTS[name]}: run "bench:decisions -- install"`,
    );
  }
  // The entry is found as `require` finds it and loaded by import(), which takes both kinds of modules.
  return (await import(pathToFileURL(require.resolve(name)).href)) as T;
}
