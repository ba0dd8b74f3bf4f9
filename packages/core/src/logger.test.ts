import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from './errors.ts';
import { createLogger, type LogFields, type LogLevel, redactText } from './logger.ts';

const clock = { now: () => 0 };
/** Stands for any credential: it must never come out. */
const SECRET = 'czNjcjN0LXZhbHVl';
const JWT = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.${SECRET}`;

/** The text of the one line that logging `fields` gives. */
function lineOf(fields: LogFields, level: LogLevel = 'info'): string {
  const lines: string[] = [];
  createLogger({ write: (line) => lines.push(line), level: 'debug', clock })[level]('started', fields);
  assert.equal(lines.length, 1);
  return lines[0] ?? '';
}

test('a line is one JSON object with time, level, event and fields', () => {
  const line = lineOf({ port: 7443, isReady: true, name: 'node-1', none: null }, 'warn');
  assert.ok(line.endsWith('}\n'));
  assert.deepEqual(JSON.parse(line), {
    time: '1970-01-01T00:00:00.000Z',
    level: 'warn',
    event: 'started',
    port: 7443,
    isReady: true,
    name: 'node-1',
    none: null,
  });
});

test('levels below the chosen one are not written', () => {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), level: 'warn', clock });
  log.debug('started');
  log.info('started');
  log.warn('stopping');
  log.error('fatal');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).event),
    ['stopping', 'fatal'],
  );
});

test('a child adds its fields to each line and leaves its parent alone', () => {
  const lines: string[] = [];
  const parent = createLogger({ write: (line) => lines.push(line), level: 'info', clock });
  parent.child({ part: 'peer', secret: SECRET }).child({ swarm: 1 }).info('started', { piece: 2 });
  parent.info('stopped');
  const [first, second] = lines.map((line) => JSON.parse(line));
  assert.deepEqual([first.part, first.swarm, first.piece, first.secret], ['peer', 1, 2, '[redacted]']);
  assert.equal('part' in second, false);
});

test('no field replaces time, level or event', () => {
  const parsed = JSON.parse(lineOf({ time: 'x', level: 'error', event: 'forged' }));
  assert.deepEqual([parsed.time, parsed.level, parsed.event], ['1970-01-01T00:00:00.000Z', 'info', 'started']);
});

test('fields whose name speaks of a secret are redacted at any depth', () => {
  const line = lineOf({
    authorization: SECRET,
    headers: { 'Proxy-Authorization': SECRET, 'set-cookie': [SECRET], nested: { joinToken: SECRET } },
    privateKeyPem: SECRET,
    passphrase: SECRET,
    password: SECRET,
    credentials: { username: 'alice', value: SECRET },
    grant: SECRET,
    list: [{ clientSecret: SECRET }],
  });
  assert.equal(line.includes(SECRET), false, line);
});

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const keyBody = pem.split('\n')[1] ?? '';

const leaks: readonly (readonly [name: string, text: string, secret: string])[] = [
  ['a Bearer header', `sent authorization: Bearer ${SECRET} to it`, SECRET],
  ['a Basic header in other case', `BASIC   ${SECRET}==`, SECRET],
  ['an opaque credential of another scheme', `Authorization: Custom_${SECRET}`, SECRET],
  ['a JWT', `refused ${JWT}.`, SECRET],
  ['a JWT glued to a word', `grant_${JWT}`, SECRET],
  ['a signed URL', `GET https://cdn.example/blob?X-Amz-Signature=${SECRET}&x=1 failed`, SECRET],
  ['a signed URL with a very long path', `https://cdn.example/${'p'.repeat(900)}?sig=${SECRET}`, SECRET],
  ['a signed path', `GET /blob?expires=1&sig=${SECRET}`, SECRET],
  ['a URL with a password', `https://alice:${SECRET}@registry.example/v2/`, SECRET],
  ['a JSON answer of a token server', `{"access_token":"${SECRET}","expires_in":300}`, SECRET],
  ['a form', `grant_type=password&refresh_token=${SECRET}`, SECRET],
  ['a private key', `loaded ${pem}`, keyBody],
  ['an encrypted private key', `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${SECRET}\n`, SECRET],
  ['an OpenSSH private key', `-----BEGIN OPENSSH PRIVATE KEY-----\n${SECRET}\n`, SECRET],
];

for (const [name, text, secret] of leaks) {
  test(`${name} inside text is redacted, in a field, in a key, in an error and in its causes`, () => {
    const cause = new Error(text);
    const fields: readonly LogFields[] = [
      { note: text },
      { deep: { list: [text] } },
      { map: { [text]: 1 } },
      { error: new Error(text) },
      { error: new AppError('TRACKER_UNAVAILABLE', { reason: text }) },
      { error: new AppError('TRACKER_UNAVAILABLE', {}, { cause: new Error('outer', { cause }) }) },
      { error: Object.assign(new Error('x'), { code: text }) },
    ];
    for (const entry of fields) assert.equal(lineOf(entry).includes(secret), false, lineOf(entry));
  });
}

test('a URL object is written without its query and password', () => {
  const line = lineOf({ url: new URL(`https://alice:${SECRET}@cdn.example/blob?sig=${SECRET}`) });
  assert.equal(line.includes(SECRET), false);
  assert.match(line, /cdn\.example\/blob/);
});

test('text without secrets stays as it is', () => {
  for (const text of ['the join token is spent', 'node-1 at 10.0.0.1:7443', 'https://tracker.example:7443/v1/join']) {
    assert.equal(redactText(text), text);
  }
});

test('an error is written as its code and the messages down its chain', () => {
  const cause = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
  const line = JSON.parse(lineOf({ error: new AppError('TRACKER_UNAVAILABLE', { reason: 'announce' }, { cause }) }));
  assert.equal(line.error.code, 'TRACKER_UNAVAILABLE');
  assert.match(line.error.message, /: announce: connection refused$/);
  assert.equal(JSON.stringify(line).includes('logger.test.ts'), false);
});

test('a chain of causes that bites its tail ends', () => {
  const error = new Error('round');
  error.cause = error;
  assert.match(lineOf({ error }), /round/);
});

test('control characters cannot forge a line or steer a terminal', () => {
  const hostile = 'x\n{"event":"forged"}\r\u0000\u001b[2J\u007f\u009b31m\u2028\u202e\u2066';
  const line = lineOf({ [hostile]: hostile, error: new Error(hostile) });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come out.
  assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
  assert.equal(JSON.parse(line)[hostile], hostile);
});

test('long text, long lists and deep objects are cut', () => {
  const deep: Record<string, unknown> = {};
  deep['self'] = deep;
  const line = lineOf({
    text: 'x'.repeat(1_000_000),
    bytes: new Uint8Array(1_000_000),
    list: Array.from({ length: 10_000 }, (_, index) => index),
    wide: Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, index])),
    deep,
  });
  assert.ok(line.length < 4096, `${line.length}`);
});

test('a value that JSON cannot write does not break the line', () => {
  const line = JSON.parse(
    lineOf({ big: 10n, call: () => SECRET, symbol: Symbol('s'), nan: Number.NaN, gone: undefined }),
  );
  assert.equal(line.big, '10');
  assert.equal('call' in line, false);
});

test('a megabyte of hostile text is redacted in a moment', () => {
  const parts = [
    '?',
    '?a',
    '://',
    '://a',
    'eyJ',
    'eyJaaaaaaaa.',
    'bearer ',
    'basic',
    ' ',
    'token',
    'token = ',
    '-----BEGIN ',
    '-----BEGIN PRIVATE KEY-----',
    'a@',
    '"',
  ];
  const texts = parts.map((part) => part.repeat(Math.ceil(1_000_000 / part.length)));
  const startedAt = performance.now();
  for (const text of texts) assert.ok(redactText(text).length <= 513);
  assert.ok(performance.now() - startedAt < 500, `${performance.now() - startedAt} ms`);
});

test('no secret survives whatever stands around it', () => {
  const noise = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
  fc.assert(
    fc.property(noise, noise, (before, after) => {
      for (const secret of [JWT, `Bearer ${SECRET}`, `https://cdn.example/b?sig=${SECRET}`]) {
        assert.equal(redactText(`${before} ${secret} ${after}`).includes(SECRET), false);
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});
