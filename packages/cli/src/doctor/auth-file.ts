import { readFile } from 'node:fs/promises';
import { DOCKER_HUB, type RegistryHost } from '@sealift/core';
import { errnoOf } from '../failure.ts';

/** What `docker login` or `podman login` has kept for a registry. */
export type StoredLogin =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'refresh token'; readonly token: string }
  /** Kept by another program, which we do not start. */
  | { readonly kind: 'helper'; readonly name: string }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** How Docker calls the Hub in this file. */
const HUB_KEYS = ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io'];

interface AuthFile {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** Reads the login for a registry from an auth file (docker-config.json, containers-auth.json(5)). */
export async function readLogin(path: string, registry: RegistryHost): Promise<StoredLogin> {
  let file: AuthFile;
  try {
    file = JSON.parse(await readFile(path, 'utf8')) as AuthFile;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return { kind: 'none' };
    // Not the parser's message, which quotes what may be a password.
    return { kind: 'unreadable', reason: errno ?? 'it is no JSON' };
  }
  const keys = registry === DOCKER_HUB ? HUB_KEYS : [registry, `https://${registry}`];
  const entries = keys.map((key) => file.auths?.[key]);
  const entry = entries.find((candidate) => candidate?.auth !== undefined || candidate?.identitytoken !== undefined);
  if (entry?.identitytoken !== undefined && entry.identitytoken !== '') {
    return { kind: 'refresh token', token: entry.identitytoken };
  }
  const [, username = '', password = ''] =
    /^([^:]*):([\s\S]*)$/.exec(Buffer.from(entry?.auth ?? '', 'base64').toString('utf8')) ?? [];
  if (username !== '') return { kind: 'password', username, password };
  const helper = keys.map((key) => file.credHelpers?.[key]).find((name) => name !== undefined) ?? file.credsStore;
  return helper === undefined || helper === '' ? { kind: 'none' } : { kind: 'helper', name: helper };
}
