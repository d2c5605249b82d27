import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from './duration.ts';

test('a length of time is a number and a unit', () => {
  const all = ['90s', '30m', '12h', '7d', '2w', '1D'].map(parseDuration);
  assert.deepEqual(all, [90, 1800, 43_200, 604_800, 1_209_600, 86_400]);
});

test('what is no length of time is refused', () => {
  for (const text of ['', '7', 'd', '0d', '-1d', '1.5h', '7 d', '7dd', '1e3s', '9999999999s', 'never']) {
    assert.throws(() => parseDuration(text), { code: 'request_invalid' }, text);
  }
});
