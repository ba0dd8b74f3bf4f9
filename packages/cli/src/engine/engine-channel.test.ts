import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import fc from 'fast-check';
import { EngineChannel } from './engine-channel.ts';
import { ENGINE_MESSAGES, FRONT_MESSAGES, type FrontMessage, parseMessage } from './engine-messages.ts';

/** An engine's end of a channel, what it hears, and the raw stream at the other end. */
function setUp() {
  const [stream, other] = duplexPair();
  const heard: FrontMessage[] = [];
  const closed = Promise.withResolvers<Error | undefined>();
  const channel = new EngineChannel<FrontMessage, object>({
    stream,
    parse: (text) => parseMessage(FRONT_MESSAGES, text),
    onMessage: (message) => heard.push(message),
    onClosed: closed.resolve,
  });
  return { channel, other, heard, closed: closed.promise };
}

test('messages arrive in order and whole, and the end of the other side is heard of', async () => {
  const { other, heard, closed, channel } = setUp();
  other.write('{"type":"want","id":1,"index":2}\n{"type":"cl');
  other.write('ose","id":1}\n');
  other.end();
  assert.equal(await closed, undefined);
  assert.deepEqual(heard, [
    { type: 'want', id: 1, index: 2 },
    { type: 'close', id: 1 },
  ]);
  assert.equal(channel.send({ type: 'alive' }), false);
});

for (const [name, text] of [
  ['no JSON', 'open the door\n'],
  ['no object', '[]\n'],
  ['of an unknown type', '{"type":"constructor"}\n'],
  ['with a field of another kind', '{"type":"close","id":"1"}\n'],
  ['with a negative id', '{"type":"close","id":-1}\n'],
  ['without a field', '{"type":"close"}\n'],
  ['longer than any of ours', `"${'a'.repeat(2 * 1024 * 1024)}"\n`],
] as const) {
  test(`a message that is ${name} ends the channel`, async () => {
    const { other, heard, closed } = setUp();
    other.write(text);
    const error = await closed;
    assert.ok(isAppError(error, 'ENGINE_FAILED'));
    assert.deepEqual(heard, []);
  });
}

test('who does not read is not written to without end', () => {
  const { channel } = setUp();
  const chunk = { type: 'noise', text: 'a'.repeat(1024 * 1024) };
  let sent = 0;
  while (channel.send(chunk)) sent += 1;
  assert.ok(sent > 0 && sent < 64, String(sent));
});

test('a fault in a message that holds credentials does not repeat them', () => {
  for (const text of ['{"type":"open","authorization":"Bearer abc', '{"type":"open","authorization":"Bearer abc"}']) {
    assert.throws(
      () => parseMessage(FRONT_MESSAGES, text),
      (error: Error) => isAppError(error, 'ENGINE_FAILED') && !`${error.message}${String(error.cause)}`.includes('abc'),
    );
  }
});

test('arbitrary JSON is a message or an ENGINE_FAILED', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseMessage(ENGINE_MESSAGES, text);
      } catch (error) {
        assert.ok(isAppError(error, 'ENGINE_FAILED'));
      }
    }),
    { seed: 5, numRuns: 300 },
  );
});
