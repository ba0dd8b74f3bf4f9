import { AppError } from '@sealift/core';

/** What a field of a message may be; a `?` lets it be absent. */
const FIELD_CHECKS = {
  count: (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0,
  text: (value: unknown) => typeof value === 'string',
  'text?': (value: unknown) => value === undefined || typeof value === 'string',
  flag: (value: unknown) => typeof value === 'boolean',
  object: isObject,
  'object?': (value: unknown) => value === undefined || isObject(value),
} as const;

type FieldTypes = {
  count: number;
  text: string;
  'text?': string | undefined;
  flag: boolean;
  object: Record<string, unknown>;
  'object?': Record<string, unknown> | undefined;
};
type Fields = Readonly<Record<string, keyof FieldTypes>>;
type MessageTable = Readonly<Record<string, Fields>>;

/** What the front of a node tells its engine. `id` is that of an open blob, chosen by the front, never used twice. */
export const FRONT_MESSAGES = {
  /** Before `begin`: a grant of the engine before, good with its certificate. `expiresAt` in ms since the epoch. */
  'kept-grant': { swarmId: 'text', grant: 'text', expiresAt: 'count' },
  /** Begin, with the identity of the engine before, if there was one. */
  begin: { identity: 'object?' },
  /** Somebody asks for a blob. The header crosses here, in memory, and nowhere else. */
  open: { id: 'count', registry: 'text', repository: 'text', digest: 'text', authorization: 'text?', isCheck: 'flag' },
  /** Answer with `have` once piece `index` is verified. */
  want: { id: 'count', index: 'count' },
  /** Answer with `signed` once the whole blob is signed as complete. */
  'want-end': { id: 'count' },
  /** The reader is at this piece. */
  position: { id: 'count', index: 'count' },
  /** The reader has left; also while `open` is being answered. */
  close: { id: 'count' },
  /** Somebody asks for a manifest. Answer with `manifest` or `no-manifest`; these ids are a series of their own. */
  'fetch-manifest': { id: 'count', registry: 'text', repository: 'text', digest: 'text', authorization: 'text?' },
  /** A registry has answered a request with these credentials well. */
  accepted: { registry: 'text', path: 'text', authorization: 'text' },
  /** Answer with `status`: what the engine says of itself (`about` is `status`), or what the cluster says of this node. */
  ask: { id: 'count', about: 'text', body: 'object?' },
  /** Take leave of the swarms and end. */
  stop: {},
} as const satisfies MessageTable;

/** What an engine tells its front. */
export const ENGINE_MESSAGES = {
  /** All that could be started runs; `peer` and `nodeId` are there once the node is enrolled. */
  ready: { peer: 'text?', nodeId: 'text?' },
  /** The node is enrolled, or has renewed its certificate: what the next engine may go on with. Kept in memory only. */
  identity: { identity: 'object' },
  /** The node has another grant for a swarm, or none any more; kept as the identity is. */
  grant: { swarmId: 'text', grant: 'text?', expiresAt: 'count' },
  /** There can be no sharing for now. With `isFinal` the engine ends; otherwise it goes on trying. */
  trouble: { code: 'text', details: 'object', isFinal: 'flag' },
  /** Sent every second: the event loop of the engine turns. */
  alive: {},
  /** Answers to `open`: pass the request through, */
  nothing: { id: 'count' },
  /** nothing but the size, for a HEAD, */
  size: { id: 'count', size: 'count' },
  /** a small blob whole, in base64, checked against its digest, */
  bytes: { id: 'count', bytes: 'text' },
  /** or a file of the store, with its pieces that may be read and all that are here (BEP 3 bitfields, in base64). */
  file: {
    id: 'count',
    size: 'count',
    pieceLength: 'count',
    file: 'text',
    pieces: 'text',
    held: 'text',
    isSigned: 'flag',
    revision: 'count',
  },
  /** `count` pieces from `index` on are verified, and may be read. */
  have: { id: 'count', index: 'count', count: 'count' },
  signed: { id: 'count' },
  /** A piece that was told of has proved false. */
  revised: { id: 'count', revision: 'count' },
  /** What the reader waits for does not come: `SWARM_STALLED` or `SWARM_WITHDRAWN`. */
  stalled: { id: 'count', code: 'text', reason: 'text' },
  /** A manifest in base64, not compared with its digest yet. */
  manifest: { id: 'count', mediaType: 'text', bytes: 'text' },
  /** Pass the request for it through. */
  'no-manifest': { id: 'count' },
  status: { id: 'count', status: 'object' },
} as const satisfies MessageTable;

type FieldsOf<F extends Fields> = { readonly [Name in keyof F]: FieldTypes[F[Name]] };

/** Any message of a table. */
export type MessageOf<Table extends MessageTable> = {
  [Type in keyof Table & string]: { readonly type: Type } & FieldsOf<Table[Type]>;
}[keyof Table & string];

/** Front to engine. */
export type FrontMessage = MessageOf<typeof FRONT_MESSAGES>;
/** Engine to front. */
export type EngineMessage = MessageOf<typeof ENGINE_MESSAGES>;

/** Reads one message; throws `ENGINE_FAILED` for what is not exactly one of `table`. */
export function parseMessage<Table extends MessageTable>(table: Table, text: string): MessageOf<Table> {
  const value = parseObject(text);
  const type = value['type'];
  const fields = typeof type === 'string' && Object.hasOwn(table, type) ? table[type] : undefined;
  if (fields === undefined) throw broken('a message of no known type');
  for (const [name, kind] of Object.entries(fields)) {
    if (!FIELD_CHECKS[kind](value[name])) throw broken(`a wrong field in a message of type ${type}`);
  }
  return value as MessageOf<Table>;
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    // The text itself may hold credentials.
    throw broken('a message that is no JSON', cause instanceof SyntaxError ? undefined : cause);
  }
  if (isObject(value)) return value as Record<string, unknown>;
  throw broken('a message that is no object');
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function broken(reason: string, cause?: unknown): AppError {
  return new AppError('ENGINE_FAILED', { reason }, cause === undefined ? {} : { cause });
}
