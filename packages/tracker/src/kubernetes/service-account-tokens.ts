import { AppError, type Clock } from '@sealift/core';
import { type SigningKey, suits } from '@sealift/registry';
import { type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

/** Tokens whose `nbf` is so far ahead are taken, in s: the API server's clock may be ahead of ours. */
const CLOCK_LEEWAY_S = 300;
/** What API servers sign with, and may come to sign with. Never `none`, never a MAC. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

const Named = Type.Object({ name: Type.String({ minLength: 1, maxLength: 253 }) });
/** What bound tokens say beside the registered claims (KEP-1205, and KEP-4193 for the node). */
const Bound = Compile(
  Type.Object({
    namespace: Type.String({ minLength: 1, maxLength: 63 }),
    serviceaccount: Named,
    pod: Type.Optional(Named),
    node: Type.Optional(Named),
  }),
);

/** Finds the keys of a Kubernetes cluster; none where it cannot. Fits a key set and keys behind a URL alike. */
export interface ServiceAccountKeys {
  find(matches: (key: SigningKey) => boolean): Promise<readonly SigningKey[]>;
}

/** What an operator says about the Kubernetes cluster whose service accounts enrol nodes. */
export interface KubernetesConfig {
  /** `iss` of its tokens: `--service-account-issuer` of the API server. */
  readonly issuer: string;
  /** `aud` that a token must have, so that none for another service does. */
  readonly audience: string;
  /** The service accounts that enrol, as `system:serviceaccount:<namespace>:<name>`. */
  readonly subjects: readonly string[];
}

/** Whom a token is for. */
export interface ServiceAccount {
  readonly subject: string;
  /** Host of the pod, where the API server says so (1.30 and later). */
  readonly node: string | undefined;
  readonly pod: string | undefined;
}

/** Judges the service account tokens of one Kubernetes cluster, by its public keys and without asking its API server. */
export class ServiceAccountTokens {
  readonly #config: KubernetesConfig;
  readonly #keys: ServiceAccountKeys;
  readonly #clock: Clock;

  constructor({ config, keys, clock }: { config: KubernetesConfig; keys: ServiceAccountKeys; clock: Clock }) {
    this.#config = config;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** Whom the token is for. Throws `SERVICE_ACCOUNT_REJECTED` with a reason, and never with a part of the token. */
  async verify(token: string): Promise<ServiceAccount> {
    const { issuer, audience, subjects } = this.#config;
    const now = this.#clock.now();
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(token, (header) => this.#keyOf(header), {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        requiredClaims: ['exp', 'iat', 'sub'],
        currentDate: new Date(now),
        clockTolerance: CLOCK_LEEWAY_S,
      });
      payload = verified.payload;
    } catch (cause) {
      throw rejected(reasonOf(cause));
    }
    const { sub = '', exp = 0 } = payload;
    // The leeway is for tokens that seem to come from the future. Kubelets replace theirs long before the end.
    if (exp * 1000 <= now) throw rejected('it has expired');
    if (!subjects.includes(sub)) throw rejected('its service account is not one that enrols here');
    return { subject: sub, ...boundTo(payload['kubernetes.io'], sub) };
  }

  /** Only `kid` and `alg` choose among the cluster's own keys: `jwk`, `jku` and `x5c` are the sender's own words. */
  async #keyOf({ kid, alg }: JWTHeaderParameters): Promise<SigningKey['key']> {
    const matches = (key: SigningKey): boolean => suits(key, alg) && (kid === undefined || key.ids.has(kid));
    const [key] = await this.#keys.find(matches);
    if (key === undefined) throw rejected('no key of the Kubernetes cluster is known by its name');
    return key.key;
  }
}

function boundTo(claim: unknown, subject: string): { node: string | undefined; pod: string | undefined } {
  if (claim === undefined) return { node: undefined, pod: undefined };
  if (!Bound.Check(claim)) throw rejected('its claims about pod and node are malformed');
  const { namespace, serviceaccount, pod, node } = claim;
  if (subject !== `system:serviceaccount:${namespace}:${serviceaccount.name}`) {
    throw rejected('its claims contradict each other');
  }
  return { node: node?.name, pod: pod?.name };
}

function reasonOf(cause: unknown): string {
  if (cause instanceof AppError) return String(cause.details['reason']);
  const { code, claim } = cause as { code?: unknown; claim?: unknown };
  if (code === 'ERR_JWT_EXPIRED') return 'it has expired';
  if (code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') return 'its signature does not verify';
  if (code === 'ERR_JOSE_ALG_NOT_ALLOWED') return 'its algorithm is not allowed';
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') {
    // The name of a claim that we ask for, never a word of the sender's.
    return `its claim "${String(claim)}" is missing or not as it must be`;
  }
  return 'it is not a well-formed token';
}

// Without the cause: jose's errors carry the whole payload.
function rejected(reason: string): AppError {
  return new AppError('SERVICE_ACCOUNT_REJECTED', { reason });
}
