import { DOCKER_HUB, type RegistryHost } from '@sealift/core';
import { refuse } from '../failure.ts';

/** What dockerd shows to a registry, or to its token service, on somebody's behalf. */
export type RegistryCredential =
  | { readonly username: string; readonly password: string }
  /** A refresh token, as `docker login` keeps it. */
  | { readonly identitytoken: string }
  /** A Bearer token of the registry, which dockerd shows as it is. */
  | { readonly registrytoken: string };

/** How Docker Hub is called in credentials, for historical reasons. */
const HUB_ADDRESS = 'https://index.docker.io/v1/';
const KINDS = [['username', 'password'], ['identitytoken'], ['registrytoken']] as const;

/**
 * The value of `X-Registry-Auth` (Engine API, "Authentication"). URL-safe base64 *with* padding: without it dockerd silently asks as
 * nobody.
 */
export function registryAuthOf(credential: RegistryCredential, registry: RegistryHost): string {
  const json = JSON.stringify({ ...credential, serveraddress: registry === DOCKER_HUB ? HUB_ADDRESS : registry });
  return Buffer.from(json).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The parts of a credential that nobody may read in what we print. */
export function secretsOf(credential: RegistryCredential): readonly string[] {
  const { username: _, ...secrets } = { username: '', ...credential };
  return Object.values(secrets).filter((secret) => secret !== '');
}

/**
 * Reads a credentials file: JSON with `username` and `password`, `identitytoken` or `registrytoken`, or a line `user:password`.
 * Throws `CONFIG_INVALID` that names `setting` and repeats nothing of it.
 */
export function parseCredentials(text: string, setting: string): RegistryCredential {
  const trimmed = text.trim();
  const credential = trimmed.startsWith('{') ? credentialIn(readJson(trimmed)) : splitUser(trimmed);
  if (credential !== undefined) return credential;
  return refuse(setting, 'write user:password, or JSON with username and password, identitytoken or registrytoken');
}

/** The credential in `user:password`, whose user has no colon (RFC 7617 §2). */
export function splitUser(text: string): RegistryCredential | undefined {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1 || /[\r\n]/.test(text)) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** The one kind of credential that an object holds, if it holds one and nothing of another kind. */
export function credentialIn(value: unknown): RegistryCredential | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const fields = new Map(Object.entries(value).filter(([, field]) => typeof field === 'string' && field !== ''));
  const found = KINDS.filter((kind) => kind.every((key) => fields.has(key)));
  const [kind] = found;
  if (kind === undefined || found.length > 1) return undefined;
  return Object.fromEntries(kind.map((key) => [key, fields.get(key)])) as unknown as RegistryCredential;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No cause on purpose: the message of a JSON error quotes the text, here a secret.
    return undefined;
  }
}
