import { type Digest, isAppError, parseDigest, type RegistryHost } from '@sealift/core';
import {
  type BearerChallenge,
  basicAuthorization,
  fetchToken,
  RegistryClient,
  type RegistryConfig,
  upstreamOrigin,
} from '@sealift/registry';
import { readBody, requestOnce } from '../demo/proxied-request.ts';
import { askNode } from '../node-admin.ts';
import { systemAnchors } from './anchors.ts';
import { readLogin, type StoredLogin } from './auth-file.ts';
import { credentialKindOf, describeJudgement } from './credential-kind.ts';
import type { Check } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { registryOf } from './registry-of.ts';
import { formatImage, nodeOf, type Subject } from './subject.ts';
import { reasonOf } from './tls-fault.ts';

/** Longest answer of a token service, in bytes: the token twice, a refresh token, and room. */
const MAX_TOKEN_BYTES = 256 * 1024;

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
        const authorization = await authorize(subject, login, { config, signal });
        subject.learned.authorization = authorization;
        return await look(subject, login, { authorization, config, signal });
      } catch (error) {
        return describe(error, subject, login);
      }
    },
  };
}

/** What a runtime would show to the registry for a pull of this image. */
async function authorize(
  { image, learned: { challenge } }: Subject,
  login: StoredLogin,
  { config, signal }: { config: RegistryConfig; signal: AbortSignal },
): Promise<string | undefined> {
  if (challenge === undefined) return undefined;
  if (challenge.scheme === 'basic') return login.kind === 'password' ? basicAuthorization(login) : undefined;
  const scope = `repository:${image.repository}:pull`;
  if (login.kind === 'refresh token')
    return `Bearer ${await refresh(challenge, { scope, token: login.token, caPem: config.caPem ?? '', signal })}`;
  const { caPem, client } = config;
  const own = client === undefined ? undefined : { origin: upstreamOrigin(image.registry), client };
  const credentials = login.kind === 'password' ? login : undefined;
  return `Bearer ${await fetchToken({ challenge, scope, credentials, caPem, own, signal })}`;
}

/** Exchanges what `docker login` got for a token (distribution-spec OAuth2, `grant_type=refresh_token`). */
async function refresh(
  { realm, service = '' }: BearerChallenge,
  { scope, token, caPem, signal }: { scope: string; token: string; caPem: string; signal: AbortSignal },
): Promise<string> {
  const url = new URL(realm);
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'sealift',
    service,
    scope,
    refresh_token: token,
  });
  const response = await requestOnce(
    { proxy: undefined, trustAnchors: `${systemAnchors()}\n${caPem}` },
    url.host as RegistryHost,
    {
      method: 'POST',
      path: `${url.pathname}${url.search}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      signal,
    },
  );
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`the token service answers ${response.statusCode}`);
  }
  const { access_token: access, token: plain } = JSON.parse(
    (await readBody(response, MAX_TOKEN_BYTES)).toString('utf8'),
  ) as {
    access_token?: string;
    token?: string;
  };
  return access ?? plain ?? '';
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
      const blob = blobIn(answer.body) ?? blobIn((await fetchAt(childIn(answer.body) ?? '')).body);
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
  const digest = parse(manifest).config?.digest;
  return digest === undefined ? undefined : parseDigest(digest);
}

/** The first image of an index. */
function childIn(index: Uint8Array): Digest | undefined {
  const digest = parse(index).manifests?.[0]?.digest;
  return digest === undefined ? undefined : parseDigest(digest);
}

function parse(manifest: Uint8Array): { config?: { digest: string }; manifests?: readonly { digest: string }[] } {
  try {
    return JSON.parse(Buffer.from(manifest).toString('utf8')) as ReturnType<typeof parse>;
  } catch {
    return {}; // The registry's own affair: whoever pulls it will hear of it.
  }
}

/** What the cluster makes of the credential: whether the tracker grants a blob of the image with it, and how it judges. */
export function rightCheck(subject: Subject): Check {
  return {
    id: 'right',
    needs: ['configured', 'credentials', 'certificate'],
    examine: async () => {
      const { image, learned } = subject;
      const credential = credentialKindOf(learned.authorization);
      const { settings } = nodeOf(subject);
      if (settings.tokenCheck === 'registry' && credential.kind !== 'jwt') {
        return fail(
          'Nodes ask each other for a token that they can check themselves (--token-check registry), and this registry gives none: they share nothing.',
          'Start nodes and tracker without --token-check registry.',
        );
      }
      if (learned.blob === undefined)
        return warn('The image has no blob to ask the tracker about.', 'Try another image of the same repository.');
      const { registry, repository } = image;
      const { authorization } = learned;
      const question = {
        registry,
        repository,
        digest: learned.blob,
        ...(authorization === undefined ? {} : { authorization }),
      };
      const { error, verdict, reason } = await askNode(subject.data, 'right', question);
      if (verdict === 'granted') return ok(`The tracker grants it. ${describeJudgement(credential)}`);
      if (error === 'the node is not enrolled') {
        return warn(
          `Not asked, for the node has no certificate yet. ${describeJudgement(credential)}`,
          'Look again after its first pull.',
        );
      }
      if (error === 'REGISTRY_UNKNOWN') {
        return fail(
          `The tracker does not handle ${registry}.`,
          `Start it with --registry ${registry} too (SEALIFT_REGISTRY in /etc/sealift/tracker.env).`,
        );
      }
      if (verdict === 'denied') {
        return fail(
          'The registry gives this user the image here, but said no when the tracker asked with the same credential.',
          'See whether the registry binds tokens to an address, and on the tracker: sealift audit --data DIR --event join_refused',
        );
      }
      return fail(
        `The tracker could not find out whether this user may have the image: ${reason ?? error}.`,
        `On the tracker's host, see whether it reaches and trusts the registry: curl -v https://${registry}/v2/. If it does not trust it: --registry-ca ${registry}=FILE`,
      );
    },
  };
}
