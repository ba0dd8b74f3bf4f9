import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError, ERROR_CODES, isAppError } from './errors.ts';

test('the message is the summary, the reason, the details and the advice', () => {
  const error = new AppError('REGISTRY_REFUSED', {
    status: 403,
    reason: 'no right',
    advice: 'Log in.',
    host: undefined,
  });
  assert.equal(error.message, 'the registry refused the request: no right (status=403). Log in.');
  assert.equal(new AppError('NODE_DENIED').message, ERROR_CODES.NODE_DENIED.summary);
});

test('a cause is kept', () => {
  const cause = new Error('socket closed');
  assert.equal(new AppError('TRACKER_UNAVAILABLE', {}, { cause }).cause, cause);
  assert.equal('cause' in new AppError('TRACKER_UNAVAILABLE'), false);
});

test('a code that never crosses HTTP has status 500, any other its own', () => {
  assert.equal(new AppError('STORE_CLOSED').status, 500);
  assert.equal(new AppError('NOT_FOUND').status, 404);
});

test('an AppError is told from other errors, and by its code', () => {
  const error: unknown = new AppError('NOT_FOUND');
  assert.equal(isAppError(error), true);
  assert.equal(isAppError(error, 'NOT_FOUND'), true);
  assert.equal(isAppError(error, 'NODE_DENIED'), false);
  assert.equal(isAppError(Object.assign(new Error('x'), { code: 'NOT_FOUND' })), false);
  assert.equal(isAppError(undefined), false);
});

test('codes are upper snake case, and summaries are one line without a final stop', () => {
  for (const [code, { summary }] of Object.entries(ERROR_CODES)) {
    assert.match(code, /^[A-Z]+(?:_[A-Z]+)*$/);
    assert.match(summary, /^[a-z][^\n]*[^.\n]$/, code);
  }
});
