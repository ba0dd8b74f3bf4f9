/**
 * Longest token that is looked into, in characters: one with a chain of certificates has about 6,000. Everything inside is
 * bounded by it, so nothing larger is ever decoded or parsed.
 */
export const MAX_TOKEN_LENGTH = 12_288;
/** Longest header and payload, in characters of base64url: a chain of four RSA certificates, and a hundred repositories. */
const MAX_HEADER_LENGTH = 10_240;
const MAX_PAYLOAD_LENGTH = 8_192;

// One class between fixed characters, so matching takes linear time.
const BEARER = /^bearer +(?<token>[\w-]+\.[\w-]+\.[\w-]+)$/i;
const COMPACT = /^(?<header>[\w-]+)\.(?<payload>[\w-]+)\.(?<signature>[\w-]+)$/;

/** A JWS in compact form (RFC 7515 §7.1), taken apart. Nothing in it is verified. */
export interface CompactToken {
  readonly text: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signature: Buffer;
}

/** The token of a Bearer header, if it has the form of a JWT; `undefined` for Basic, an opaque token, or none. */
export function bearerJwt(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > MAX_TOKEN_LENGTH + 'Bearer '.length) return undefined;
  return BEARER.exec(authorization)?.groups?.['token'];
}

/** Takes a token apart; `undefined` if it is no JWT, or larger than any honest one. */
export function parseCompactToken(text: string): CompactToken | undefined {
  const parts = text.length > MAX_TOKEN_LENGTH ? undefined : COMPACT.exec(text)?.groups;
  const { header = '', payload = '', signature = '' } = parts ?? {};
  if (parts === undefined || header.length > MAX_HEADER_LENGTH || payload.length > MAX_PAYLOAD_LENGTH) return undefined;
  const [parsedHeader, claims] = [parseObject(header), parseObject(payload)];
  if (parsedHeader === undefined || claims === undefined) return undefined;
  return { text, header: parsedHeader, claims, signature: Buffer.from(signature, 'base64url') };
}

/**
 * The same token with one bit of its signature turned. The bit is in the first byte: the last character of base64url may
 * hold bits that mean nothing, and for no algorithm that we take is such a signature good too.
 */
export function withBrokenSignature({ text, signature }: CompactToken): string {
  const broken = Buffer.from(signature);
  broken[0] = (broken[0] ?? 0) ^ 1;
  return `${text.slice(0, text.lastIndexOf('.'))}.${broken.toString('base64url')}`;
}

function parseObject(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    // No JWT after all: clients must treat tokens as opaque. The message of a JSON error would quote it.
    return undefined;
  }
}
