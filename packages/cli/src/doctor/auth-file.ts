import { readFile } from 'node:fs/promises';
import type { RegistryHost } from '@sealift/core';
import { errnoOf } from '../failure.ts';
import { fieldsOf } from '../json-fields.ts';
import { credentialOf, helperOf } from '../rollout/docker-config.ts';

/** What `docker login` or `podman login` has kept for a registry. */
export type StoredLogin =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'refresh token'; readonly token: string }
  /** Kept by another program, which we do not start. */
  | { readonly kind: 'helper'; readonly name: string }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** Reads the login for a registry from an auth file (docker-config.json, containers-auth.json(5)). */
export async function readLogin(path: string, registry: RegistryHost): Promise<StoredLogin> {
  let config: ReadonlyMap<string, unknown>;
  try {
    config = fieldsOf(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return { kind: 'none' };
    // Not the parser's message, which quotes what may be a password.
    return { kind: 'unreadable', reason: errno ?? 'it is no JSON' };
  }
  const helper = helperOf(config, registry);
  if (helper !== undefined) return { kind: 'helper', name: helper.name };
  const credential = credentialOf(config, registry);
  if (credential === undefined || 'registrytoken' in credential) return { kind: 'none' };
  if ('identitytoken' in credential) return { kind: 'refresh token', token: credential.identitytoken };
  return { kind: 'password', ...credential };
}
