import { AppError, type Digest, isDigest } from '@sealift/core';
import {
  basicAuthorization,
  type ClientCertificate,
  fetchToken,
  type ImageReference,
  type ReferenceAnswer,
  type RegistryClient,
  upstreamOrigin,
} from '@sealift/registry';
import type { RegistryCredential } from '../rollout/registry-credential.ts';

/** Age from which a token is fetched anew, in ms: those without a word on their end live for a minute (token specification). */
const TOKEN_AGE_MS = 45_000;

type Challenge = NonNullable<ReferenceAnswer['challenge']>;

/**
 * Speaks to one registry about one repository, as a runtime with these credentials would: asks, is told what to show, gets a
 * token, and gets the next one in time.
 */
export class RegistrySession {
  readonly #client: Pick<RegistryClient, 'headReference'>;
  readonly #image: ImageReference;
  readonly #credential: RegistryCredential | undefined;
  readonly #tls: { readonly caPem?: string | undefined; readonly client?: ClientCertificate | undefined };
  #challenge: Challenge | undefined;
  #token: { readonly header: Promise<string>; readonly fetchedAt: number } | undefined;

  constructor(options: {
    client: Pick<RegistryClient, 'headReference'>;
    image: ImageReference;
    credential: RegistryCredential | undefined;
    tls: { readonly caPem?: string | undefined; readonly client?: ClientCertificate | undefined };
  }) {
    this.#client = options.client;
    this.#image = options.image;
    this.#credential = options.credential;
    this.#tls = options.tls;
  }

  /**
   * What the reference stands for, by HEADs only. Throws `REGISTRY_REFUSED` with the status of the registry's no, and
   * `REGISTRY_UNAVAILABLE`.
   */
  async resolve({ signal }: { signal: AbortSignal }): Promise<Digest> {
    const { registry, repository, tag, digest: pinned } = this.#image;
    const reference = pinned ?? tag ?? 'latest';
    const ask = async (authorization: string | undefined) =>
      await this.#client.headReference({ registry, repository, reference, authorization, signal });
    let answer = await ask(undefined);
    if (answer.status === 401) {
      this.#challenge = answer.challenge;
      answer = await ask(await this.authorization({ signal }));
    }
    const { status, digest } = answer;
    if (status === 401 || status === 403 || status === 404) {
      throw new AppError('REGISTRY_REFUSED', { reason: `the image ${reference} of ${repository}`, status });
    }
    const found = isDigest(reference) ? reference : digest;
    if (status === 200 && found !== undefined) return found;
    throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it does not say what the tag stands for', status });
  }

  /** The header for the next request; `undefined` where the registry asks for none. */
  async authorization({ signal }: { signal: AbortSignal }): Promise<string | undefined> {
    const challenge = this.#challenge;
    if (challenge === undefined) return undefined;
    const credential = this.#credential;
    if (credential !== undefined && 'registrytoken' in credential) return `Bearer ${credential.registrytoken}`;
    if (credential !== undefined && 'identitytoken' in credential) {
      const advice = 'Give user and password, or a registry token, with --credentials-file.';
      throw new AppError('CONFIG_INVALID', { reason: 'an identity token is of use to the Docker daemon only', advice });
    }
    if (challenge.scheme === 'basic') return credential === undefined ? undefined : basicAuthorization(credential);
    if (this.#token === undefined || performance.now() - this.#token.fetchedAt > TOKEN_AGE_MS) {
      const { registry, repository } = this.#image;
      const { caPem, client } = this.#tls;
      const token = fetchToken({
        challenge,
        scope: `repository:${repository}:pull`,
        credentials: credential,
        caPem,
        own: client && { origin: upstreamOrigin(registry), client },
        signal,
      });
      this.#token = { header: token.then((text) => `Bearer ${text}`), fetchedAt: performance.now() };
      // One that could not be had is asked for again.
      this.#token.header.catch(() => {
        this.#token = undefined;
      });
    }
    return await this.#token.header;
  }
}
