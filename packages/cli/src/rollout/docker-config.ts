import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { DOCKER_HUB, parseRegistryHost, type RegistryHost } from '@sealift/core';
import { readSecretFile } from '@sealift/pki';
import { errnoOf, refuse } from '../failure.ts';
import { fieldsOf } from '../json-fields.ts';
import { credentialIn, type RegistryCredential, splitUser } from './registry-credential.ts';

/** Longest wait for a credential helper, in ms: it may ask a keychain, which may ask a person. */
const HELPER_TIMEOUT_MS = 30_000;
/** Longest answer of a helper, in bytes: a token, with room. */
const MAX_HELPER_BYTES = 64 * 1024;
/** The user by which a helper says that the secret is a refresh token (docker/docker-credential-helpers). */
const TOKEN_USER = '<token>';
/** What Docker Hub is called in this file, for historical reasons. */
const HUB_ADDRESS = 'https://index.docker.io/v1/';

/** The directory of `docker login`, unless another is named. */
export function defaultDockerConfig(environment: Readonly<Record<string, string | undefined>>): string {
  return environment['DOCKER_CONFIG'] ?? join(homedir(), '.docker');
}

/**
 * The credential that `docker login` has left for `registry` in the `config.json` of `directory`, or in the keychain that it names
 * (docs.docker.com, "docker login"); `undefined` if there is none. Throws `KEY_FILE_UNSAFE` for a file with a secret that others
 * may read, `CONFIG_INVALID` for one that is broken.
 */
export async function readDockerConfig(
  directory: string,
  { registry, setting, signal }: { registry: RegistryHost; setting: string; signal: AbortSignal },
): Promise<RegistryCredential | undefined> {
  const path = join(directory, 'config.json');
  const config = parse(await readIfThere(path), { path, setting });
  const helper = helperOf(config, registry);
  if (helper !== undefined) return await askHelper(helper.name, { address: helper.address, setting, signal });
  if (entryOf(config, registry).size === 0) return undefined;
  // Again, now that it turns out to hold a secret: others must not be able to read it.
  return credentialOf(parse(await readSecretFile(path), { path, setting }), registry);
}

type Config = ReadonlyMap<string, unknown>;

/** The helper that keeps the credential of `registry`, and how the registry is called there; `undefined` if none does. */
export function helperOf(config: Config, registry: RegistryHost): { address: string; name: string } | undefined {
  const own = [...fieldsOf(config.get('credHelpers'))].find(([key]) => isKeyOf(key, registry));
  const name = own?.[1] ?? config.get('credsStore');
  if (typeof name !== 'string' || name === '') return undefined;
  return { address: own?.[0] ?? (registry === DOCKER_HUB ? HUB_ADDRESS : registry), name };
}

/** The credential that stands in the file itself; `undefined` if there is none. */
export function credentialOf(config: Config, registry: RegistryHost): RegistryCredential | undefined {
  const entry = entryOf(config, registry);
  const auth = entry.get('auth');
  const basic = typeof auth === 'string' ? splitUser(Buffer.from(auth, 'base64').toString('utf8')) : undefined;
  // A refresh token stands beside a user without a password, and takes its place.
  const { identitytoken, registrytoken, username, password } = Object.fromEntries(entry);
  return (
    credentialIn({ registrytoken }) ?? credentialIn({ identitytoken }) ?? basic ?? credentialIn({ username, password })
  );
}

function parse(text: string | undefined, { path, setting }: { path: string; setting: string }): Config {
  if (text === undefined) return new Map();
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    // No cause on purpose: the message of a JSON error quotes the text, here perhaps a secret.
    return refuse(setting, `${path} is not JSON`);
  }
}

function entryOf(config: Config, registry: RegistryHost): Config {
  const found = [...fieldsOf(config.get('auths'))].find(([key]) => isKeyOf(key, registry));
  return fieldsOf(found?.[1]);
}

/**
 * Keys are a host in any spelling, or an address with scheme and path from older days. A host with a path is podman's key for a part
 * of the registry.
 */
function isKeyOf(key: string, registry: RegistryHost): boolean {
  try {
    return parseRegistryHost(key.replace(/^https?:\/\/([^/]*).*$/, '$1')) === registry;
  } catch {
    // Of no registry that there can be, so of another one.
    return false;
  }
}

/** Asks `docker-credential-<helper>`, which is a program of this machine. */
async function askHelper(
  helper: string,
  { address, setting, signal }: { address: string; setting: string; signal: AbortSignal },
): Promise<RegistryCredential | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(helper))
    refuse(setting, 'the name of its credential helper is not well-formed');
  const { code, answer } = await run(`docker-credential-${helper}`, { input: address, setting, signal });
  // What it has nothing for it says with a status of its own, as every other failure: the pull is then nobody's.
  if (code !== 0) return undefined;
  const fields = parse(answer, { path: `what docker-credential-${helper} says`, setting });
  const [username, secret] = [fields.get('Username'), fields.get('Secret')];
  return username === TOKEN_USER
    ? credentialIn({ identitytoken: secret })
    : credentialIn({ username, password: secret });
}

async function run(
  program: string,
  { input, setting, signal }: { input: string; setting: string; signal: AbortSignal },
): Promise<{ code: number | null; answer: string }> {
  const child = spawn(program, ['get'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(HELPER_TIMEOUT_MS)]),
    killSignal: 'SIGKILL',
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  const chunks: Buffer[] = [];
  let length = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_HELPER_BYTES) {
      chunks.push(chunk);
      return;
    }
    child.kill('SIGKILL');
    reject(new Error('it says too much'));
  });
  // It may end without reading.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  child.once('error', reject);
  child.once('close', resolve);
  try {
    return { code: await promise, answer: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    signal.throwIfAborted();
    const { name, message } = error as Error;
    const reason = errnoOf(error) ?? (name === 'AbortError' ? 'it did not end in time' : message);
    return refuse(setting, `cannot run ${program} (${reason})`, error);
  } finally {
    // What it has started may still hold the other end.
    child.stdout.destroy();
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
