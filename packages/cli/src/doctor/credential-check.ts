import { type Digest, isAppError, isDigest } from '@sealift/core';
import { RegistryClient, type RegistryConfig } from '@sealift/registry';
import { fieldsOf } from '../json-fields.ts';
import { readLogin, type StoredLogin } from './auth-file.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { authorizePull } from './pull-authorization.ts';
import { registryOf } from './registry-of.ts';
import { formatImage, type Subject } from './subject.ts';
import { reasonOf } from './tls-fault.ts';

/** Whether the registry lets this user have the image; learns the credential, and one blob of the image. */
export function credentialCheck(subject: Subject): Check {
  const { image, authFile } = subject;
  return {
    id: 'credentials',
    needs: ['registry'],
    examine: async ({ signal }) => {
      const login = await readLogin(authFile, image.registry);
      if (login.kind === 'unreadable')
        return fail(
          `The login file ${authFile} cannot be read: ${login.reason}.`,
          `Log in again: ${loginCommand(subject)}`,
        );
      try {
        const config = await registryOf(subject);
        const authorization = await authorizePull(subject, login, { config, signal });
        subject.learned.authorization = authorization;
        return await look(subject, login, { authorization, config, signal });
      } catch (error) {
        return describe(error, subject, login);
      }
    },
  };
}

/** Asks for the manifest as a pull would. */
async function look(
  { image, learned, runtime, authFile }: Subject,
  login: StoredLogin,
  { authorization, config, signal }: { authorization: string | undefined; config: RegistryConfig; signal: AbortSignal },
): Promise<Finding> {
  const { registry, repository } = image;
  const client = new RegistryClient({ registries: [config] });
  try {
    const fetchAt = async (reference: string) =>
      await client.fetchManifest({ registry, repository, reference, authorization, signal });
    const answer = await fetchAt(image.digest ?? image.tag ?? 'latest');
    const who =
      login.kind === 'password'
        ? `User ${login.username}`
        : login.kind === 'refresh token'
          ? 'The user who is logged in'
          : 'Everybody';
    if (answer.status === 200) {
      const child = childIn(answer.body);
      const blob = blobIn(child === undefined ? answer.body : (await fetchAt(child)).body);
      if (blob !== undefined) learned.blob = blob;
      return ok(`${who} may pull ${formatImage(image)}.`);
    }
    const helper =
      login.kind === 'helper' ? ` The login is kept by docker-credential-${login.name}, which is not asked here.` : '';
    if (answer.status === 404)
      return fail(
        `There is no ${formatImage(image)}, or this user may not know of it.${helper}`,
        'See how the name and the tag are spelt.',
      );
    if (login.kind === 'helper') {
      return warn(
        `Without a login ${registry} does not give ${formatImage(image)} away.${helper}`,
        `Name a file with a login with --auth-file, and look again.`,
      );
    }
    if (login.kind === 'none') {
      return fail(
        `Without a login ${registry} does not give ${formatImage(image)} away (${answer.status}), and there is none in ${authFile}.`,
        `Log in: ${runtime === 'podman' ? 'podman' : 'docker'} login ${registry}`,
      );
    }
    return fail(
      `${who} may not pull ${formatImage(image)} (${answer.status}).`,
      'Give the user the right at the registry, or log in as another one.',
    );
  } finally {
    await client.close();
  }
}

function describe(error: unknown, subject: Subject, login: StoredLogin): Finding {
  const { registry } = subject.image;
  if (isAppError(error, 'REGISTRY_REFUSED')) {
    return fail(
      login.kind === 'none'
        ? `${registry} gives no token without a login.`
        : `${registry} refuses the login in ${subject.authFile}.`,
      `Log in: ${loginCommand(subject)}`,
    );
  }
  return fail(
    `${registry} gives no token, or no answer with it: ${reasonOf(error)}.`,
    'See whether its token service answers this host.',
  );
}

function loginCommand({ runtime, image }: Subject): string {
  return `${runtime === 'podman' ? 'podman' : 'docker'} login ${image.registry}`;
}

/** The config of an image's manifest: every image has one, and it is small. */
function blobIn(manifest: Uint8Array): Digest | undefined {
  return digestOf(parse(manifest).get('config'));
}

/** The first image of an index. */
function childIn(index: Uint8Array): Digest | undefined {
  const manifests = parse(index).get('manifests');
  return Array.isArray(manifests) ? digestOf(manifests[0]) : undefined;
}

function digestOf(entry: unknown): Digest | undefined {
  const digest = fieldsOf(entry).get('digest');
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}

function parse(manifest: Uint8Array): ReadonlyMap<string, unknown> {
  try {
    return fieldsOf(JSON.parse(Buffer.from(manifest).toString('utf8')));
  } catch {
    return new Map(); // The registry's own affair: whoever pulls it will hear of it.
  }
}
