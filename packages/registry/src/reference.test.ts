import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import fc from 'fast-check';
import { parseImageReference } from './reference.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

const accepted = [
  ['nginx', { registry: 'docker.io', repository: 'library/nginx', tag: 'latest' }],
  ['nginx:1.27', { registry: 'docker.io', repository: 'library/nginx', tag: '1.27' }],
  ['grafana/loki', { registry: 'docker.io', repository: 'grafana/loki', tag: 'latest' }],
  ['docker.io/nginx', { registry: 'docker.io', repository: 'library/nginx', tag: 'latest' }],
  ['index.docker.io/library/nginx', { registry: 'docker.io', repository: 'library/nginx', tag: 'latest' }],
  ['localhost/app', { registry: 'localhost', repository: 'app', tag: 'latest' }],
  ['registry.example/app:1', { registry: 'registry.example', repository: 'app', tag: '1' }],
  ['registry.example:5000/a/b/c', { registry: 'registry.example:5000', repository: 'a/b/c', tag: 'latest' }],
  ['Registry/app', { registry: 'registry', repository: 'app', tag: 'latest' }],
  ['[::1]:5000/app', { registry: '[::1]:5000', repository: 'app', tag: 'latest' }],
  [`nginx@${DIGEST}`, { registry: 'docker.io', repository: 'library/nginx', digest: DIGEST }],
  [
    `registry.example:443/app:1@${DIGEST}`,
    { registry: 'registry.example', repository: 'app', tag: '1', digest: DIGEST },
  ],
] as const;

for (const [text, expected] of accepted) {
  test(`the reference ${text} is read as docker reads it`, () => {
    assert.deepEqual(parseImageReference(text), expected);
  });
}

test('what docker would not take is refused', () => {
  const refused = [
    '',
    ':1',
    '/app',
    'app/',
    'App',
    'app:',
    'app:-x',
    `app:${'x'.repeat(129)}`,
    'app:a:b',
    'app@sha256:123',
    `app@${DIGEST}@${DIGEST}`,
    `@${DIGEST}`,
    'https://registry.example/app',
    'user@registry.example/app',
    'registry.example:99999/app',
    'registry.example/App',
    'app app',
    'app\n',
    'a'.repeat(64),
    'x'.repeat(1000),
  ];
  for (const text of refused) {
    assert.throws(() => parseImageReference(text), { code: 'REFERENCE_INVALID' }, JSON.stringify(text));
  }
});

test('any text is a reference or an AppError, and what comes out can be read again', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc.string({ unit: fc.constantFrom('a', 'b.c', '/', ':', '@', '0', DIGEST, 'localhost'), maxLength: 12 }),
  );
  fc.assert(
    fc.property(anything, (text) => {
      try {
        const { registry, repository, tag, digest } = parseImageReference(text);
        const written = `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
        // A registry without dot or port only comes out where upper case marked it.
        if (/[.:]|^localhost$/.test(registry)) {
          assert.deepEqual(parseImageReference(written), parseImageReference(text));
        }
      } catch (error) {
        assert.ok(isAppError(error, 'REFERENCE_INVALID'), String(error));
      }
    }),
    { seed: 1, numRuns: 1000 },
  );
});
