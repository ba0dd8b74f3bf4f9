/** How far clocks of token service, registry and tracker may stand apart, in ms; what `distribution` allows too. */
export const LEEWAY_MS = 60_000;
/** Entries of `access`, `actions` and `aud` looked at; a token that names more is left to the registry. */
const MAX_ENTRIES = 128;

/** What the claims of a token must say. */
export interface ExpectedClaims {
  /** The registry's own name for itself, from its challenge: it must be in `aud`. */
  readonly service: string;
  /** `iss`, where the operator names it. */
  readonly issuer: string | undefined;
  /** In ms. */
  readonly now: number;
}

/** What a token allows. */
export interface TokenRights {
  /** Names of the repositories that it may pull from. */
  readonly repositories: ReadonlySet<string>;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/**
 * What the claims allow (distribution-spec token authentication, RFC 7519); `undefined` if they are not for this registry
 * and this moment, or in a form that registries in use do not agree on, such as a fraction of a second.
 */
export function rightsOf(
  claims: Readonly<Record<string, unknown>>,
  { service, issuer, now }: ExpectedClaims,
): TokenRights | undefined {
  const { iss, aud, exp, nbf, iat, access } = claims;
  const audiences = Array.isArray(aud) ? (aud as readonly unknown[]) : [aud];
  const isForUs = service !== '' && audiences.length <= MAX_ENTRIES && audiences.includes(service);
  if (!isForUs || (issuer !== undefined && iss !== issuer)) return undefined;
  if (!isTime(exp) || exp * 1000 + LEEWAY_MS <= now) return undefined;
  const starts = [nbf, iat].filter((time) => time !== undefined);
  if (!starts.every((time) => isTime(time) && time * 1000 - LEEWAY_MS <= now)) return undefined;
  if (!Array.isArray(access) || access.length > MAX_ENTRIES) return undefined;
  return { repositories: new Set(access.flatMap(pullable)), expiresAt: exp * 1000 };
}

function pullable(entry: unknown): string[] {
  if (typeof entry !== 'object' || entry === null) return [];
  const { type, name, actions } = entry as { type?: unknown; name?: unknown; actions?: unknown };
  if (type !== 'repository' || typeof name !== 'string' || !Array.isArray(actions)) return [];
  const mayPull = actions.length <= MAX_ENTRIES && (actions.includes('pull') || actions.includes('*'));
  return mayPull ? [name] : [];
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 1e11;
}
