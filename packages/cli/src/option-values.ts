import { isIP } from 'node:net';
import { AppError, parseRegistryHost, parseRepository, type RegistryHost, splitHostPort } from '@sealift/core';
import type { PublicRepository } from '@sealift/tracker';

/** An address to listen on or to be reached at. */
export interface Endpoint {
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
}

/** Whether a listener on this host takes connections to every address of the machine. */
export function isUnspecified({ host }: Pick<Endpoint, 'host'>): boolean {
  return host === '0.0.0.0' || host === '::';
}

const DURATION_UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTE_UNITS = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** Parses `90s`, `15m`, `1h`; milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(?<count>[0-9]{1,9})(?<unit>ms|s|m|h|d)$/.exec(text);
  const unit = match?.groups?.['unit'] as keyof typeof DURATION_UNITS | undefined;
  if (unit === undefined) throw problem('write a number and a unit, for example 90s, 15m or 1h');
  return Number(match?.groups?.['count']) * DURATION_UNITS[unit];
}

/** Longest life of a certificate that people ask for, in ms: a century. */
const MAX_LIFE_MS = 36_500 * DURATION_UNITS.d;

/** Parses the life of a certificate as {@link parseDuration}. */
export function parseLife(text: string): number {
  const ms = parseDuration(text);
  if (ms < DURATION_UNITS.m || ms > MAX_LIFE_MS) throw problem('write at least 1m and at most 36500d');
  return ms;
}

/** A moment that may depend on when it is asked for. */
export interface Since {
  /** In ms, asked at `now`. */
  momentAt(now: number): number;
}

/** Parses a time ago, as {@link parseDuration}, or a moment as in RFC 3339, whose seconds may be left out. */
export function parseSince(text: string): Since {
  const isMoment =
    /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?(?:Z|[+-][0-9]{2}:[0-9]{2}))?$/;
  if (isMoment.test(text) && !Number.isNaN(Date.parse(text))) return { momentAt: () => Date.parse(text) };
  try {
    const ago = parseDuration(text);
    return { momentAt: (now) => now - ago };
  } catch (cause) {
    throw problem('write a time ago as 90m or 7d, or a moment as 2027-01-15 or 2027-01-15T08:00Z', cause);
  }
}

/** Parses `512MiB`, `20GiB` or a plain number of bytes. */
export function parseByteCount(text: string): number {
  const match = /^(?<count>[0-9]{1,15})(?<unit>|KiB|MiB|GiB|TiB)$/.exec(text);
  const unit = match?.groups?.['unit'] as keyof typeof BYTE_UNITS | undefined;
  const bytes = unit === undefined ? Number.NaN : Number(match?.groups?.['count']) * BYTE_UNITS[unit];
  if (!Number.isSafeInteger(bytes)) throw problem('write a number and a unit, for example 512MiB or 20GiB');
  return bytes;
}

/** Least rate that a limit may be set to, in bytes per second: below it a piece takes longer than readers wait for one. */
const MIN_RATE = 256 * 1024;

/** Parses a rate limit as {@link parseByteCount}; bytes per second. */
export function parseRate(text: string): number {
  const rate = parseByteCount(text);
  if (rate < MIN_RATE) throw problem('write bytes per second, at least 256KiB');
  return rate;
}

/** Least size of an audit log, in bytes: the trace of one rollout must fit. */
const MIN_AUDIT_QUOTA = 16 * 1024 * 1024;

/** Parses the size of an audit log as {@link parseByteCount}. */
export function parseAuditQuota(text: string): number {
  const bytes = parseByteCount(text);
  if (bytes < MIN_AUDIT_QUOTA) throw problem('write at least 16MiB');
  return bytes;
}

/** Parses `host:port`; port 0 asks the system for a free one. */
export function parseEndpoint(text: string): Endpoint {
  const isAnyPort = text.endsWith(':0');
  const split = splitHostPort(isAnyPort ? text.slice(0, -2) : text);
  if (split === undefined || (split.port === undefined) !== isAnyPort) {
    throw problem('write an address and a port, for example 127.0.0.1:3128 or [::1]:3128');
  }
  return Object.freeze({ host: split.host.replace(/^\[|\]$/g, ''), port: split.port ?? 0 });
}

/** Parses the host part of a registry, as it stands in image names. */
export function parseRegistry(text: string): RegistryHost {
  return parseRegistryHost(text);
}

/** Parses `registry/repository`. */
export function parsePublicRepository(text: string): PublicRepository {
  const slash = text.indexOf('/');
  if (slash === -1) throw problem('write a registry and a repository, for example registry.example:5000/team/app');
  return Object.freeze({
    registry: parseRegistryHost(text.slice(0, slash)),
    repository: parseRepository(text.slice(slash + 1)),
  });
}

/** Parses `registry=path`. */
export function parseRegistryFile(text: string): { readonly registry: RegistryHost; readonly path: string } {
  const { registry, value } = splitRegistry(text, 'a file, for example registry.example:5000=/etc/ssl/registry-ca.crt');
  return Object.freeze({ registry, path: value });
}

/** Parses `registry=file` and `registry=https://…`. */
export function parseRegistryKeySource(text: string): { readonly registry: RegistryHost; readonly source: string } {
  const { registry, value } = splitRegistry(text, 'a file or an https URL, for example quay.io=https://quay.io/keys');
  return Object.freeze({ registry, source: parseKeySource(value) });
}

/** Parses `registry=issuer`. */
export function parseRegistryIssuer(text: string): { readonly registry: RegistryHost; readonly issuer: string } {
  const { registry, value } = splitRegistry(text, 'the issuer, for example registry.example:5000=auth.example');
  return Object.freeze({ registry, issuer: value });
}

function splitRegistry(text: string, what: string): { readonly registry: RegistryHost; readonly value: string } {
  const separator = text.indexOf('=');
  if (separator < 1 || separator === text.length - 1) throw problem(`write the registry, an equals sign and ${what}`);
  return { registry: parseRegistryHost(text.slice(0, separator)), value: text.slice(separator + 1) };
}

/** Parses a number of things that one machine carries: 1 to 16. */
export function parseCount(text: string): number {
  const count = /^[0-9]{1,2}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 16) throw problem('write a number from 1 to 16');
  return count;
}

const HOST_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Parses a DNS name or an IP address without brackets; lower case. */
export function parseHostName(text: string): string {
  const isName = text.length <= 253 && text.split('.').every((label) => HOST_LABEL.test(label));
  if (!isName && isIP(text) === 0) throw problem('write a DNS name or an IP address, for example tracker.example');
  return text.toLowerCase();
}

/** Parses what people call a node, as the tracker takes it. */
export function parseNodeName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)) return text;
  throw problem('use 1 to 63 letters, digits, dots, hyphens and underscores; the first one a letter or a digit');
}

const SERVICE_ACCOUNT = /^[a-z0-9][a-z0-9-]{0,62}:[a-z0-9][a-z0-9.-]{0,252}$/;

/** Parses `namespace:name`; the `sub` of the tokens of that service account. */
export function parseServiceAccount(text: string): string {
  if (!SERVICE_ACCOUNT.test(text)) throw problem('write a namespace and a service account, for example sealift:node');
  return `system:serviceaccount:${text}`;
}

/** Parses where public keys are: a file, or an https URL. */
export function parseKeySource(text: string): string {
  const isUrl = /^[a-z]+:\/\//i.test(text);
  if (text === '' || (isUrl && !(text.startsWith('https://') && URL.canParse(text)))) {
    throw problem('name a file or an https URL');
  }
  return text;
}

/** Takes any text that is not empty. */
export function parseText(text: string): string {
  if (text === '') throw problem('it is empty');
  return text;
}

/** What secrets look like that people have at hand: our join tokens, JWTs, keys in PEM. */
const SECRET_SHAPES = /^(?:slj_|eyJ|-----BEGIN )/;

/** Parses the path of a file that holds a secret, and refuses the secret itself, which an error would repeat. */
export function parseSecretPath(text: string): string {
  if (SECRET_SHAPES.test(text)) throw problem('give the path of a file that holds the secret, and not the secret');
  return parseText(text);
}

/** Parses one of `choices`. */
export function parseChoice<const T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) throw problem(`use one of ${choices.join(', ')}`);
    return choice;
  };
}

function problem(reason: string, cause?: unknown): AppError {
  return new AppError('CONFIG_INVALID', { reason }, { cause });
}
