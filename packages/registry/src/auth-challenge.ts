/** A registry's demand for a token (OCI distribution-spec, token authentication). */
export interface BearerChallenge {
  readonly scheme: 'bearer';
  /** As sent; {@link fetchToken} refuses what is not an HTTPS URL. */
  readonly realm: string;
  readonly service?: string;
  readonly scope?: string;
}

/** A registry's demand for user name and password (RFC 7617). */
export interface BasicChallenge {
  readonly scheme: 'basic';
  readonly realm?: string;
}

/** Longest `WWW-Authenticate` header we read, in characters; an honest one has some hundred. */
const MAX_CHALLENGE_LENGTH = 8192;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const SPACES = /[ \t]*/y;
const QUOTED = /"(?<text>(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\u0080-\uffff]|\\[\t\x20-\x7e])*)"/y;

interface RawChallenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Reads a `WWW-Authenticate` header (RFC 9110 §11.6.1). Of several challenges the first Bearer one with a realm wins,
 * then Basic. `undefined` for anything else, and for a header that is not well-formed to its end.
 */
export function parseChallenge(header: string): BearerChallenge | BasicChallenge | undefined {
  const challenges = header.length > MAX_CHALLENGE_LENGTH ? undefined : parseAll(header);
  for (const { scheme, parameters } of challenges ?? []) {
    const realm = parameters.get('realm');
    if (scheme !== 'bearer' || realm === undefined) continue;
    const service = parameters.get('service');
    const scope = parameters.get('scope');
    return {
      scheme,
      realm,
      ...(service === undefined ? {} : { service }),
      ...(scope === undefined ? {} : { scope }),
    };
  }
  const basic = challenges?.find(({ scheme }) => scheme === 'basic');
  if (basic === undefined) return undefined;
  const realm = basic.parameters.get('realm');
  return { scheme: 'basic', ...(realm === undefined ? {} : { realm }) };
}

function parseAll(header: string): RawChallenge[] | undefined {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match === null) return undefined;
    at += match[0].length;
    return match;
  };
  while (at < header.length) {
    take(SPACES);
    const word = take(TOKEN)?.[0];
    if (word === undefined) return undefined;
    const hadSpace = (take(SPACES)?.[0].length ?? 0) > 0;
    if (header[at] === '=') {
      // A parameter of the challenge before it.
      at += 1;
      take(SPACES);
      const quoted = take(QUOTED)?.groups?.['text'];
      const value = quoted === undefined ? take(TOKEN)?.[0] : quoted.replace(/\\(.)/g, '$1');
      const parameters = challenges.at(-1)?.parameters;
      const name = word.toLowerCase();
      // Two values for one name: no telling which one the registry means.
      if (value === undefined || parameters === undefined || parameters.has(name)) return undefined;
      parameters.set(name, value);
      take(SPACES);
    } else {
      challenges.push({ scheme: word.toLowerCase(), parameters: new Map() });
      // Its first parameter follows after a space, without a comma.
      if (hadSpace && header[at] !== ',') continue;
    }
    if (at < header.length && header[at] !== ',') return undefined;
    at += 1;
  }
  return challenges;
}
