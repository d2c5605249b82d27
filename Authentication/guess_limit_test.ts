import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GUESS_LIMITS, guessPolicy } from './guess_limit.ts';

const MINUTE_MS = 60_000;

test('ten guesses in ten minutes, then one after ten, twenty, forty minutes and each hour; a hundred in a row at most', () => {
  const row = (inRow: number, minutesAgo: number) =>
    guessPolicy(GUESS_LIMITS, 100 * MINUTE_MS)({ inRow, lastMs: (100 - minutesAgo) * MINUTE_MS });
  const table: readonly [inRow: number, minutesAgo: number, waitMinutes: number][] = [
    [0, 0, 0],
    [9, 0, 0],
    [10, 1, 9],
    [10, 10, 0],
    [11, 1, 19],
    [12, 1, 39],
    [13, 1, 59],
    [50, 1, 59],
    [99, 59, 1],
    [99, 60, 0],
    [100, 90, Number.POSITIVE_INFINITY],
    [1000, 90, Number.POSITIVE_INFINITY],
  ];
  for (const [inRow, minutesAgo, waitMinutes] of table) {
    assert.equal(row(inRow, minutesAgo), waitMinutes * MINUTE_MS, `${inRow} in a row, ${minutesAgo} minutes ago`);
  }
});

test('whoever comes just behind another is asked to wait a moment, for that one may succeed', () => {
  const policy = (atMs: number) => guessPolicy(GUESS_LIMITS, atMs)({ inRow: 10, lastMs: 1_000_000 });
  assert.equal(policy(1_000_000), 1000);
  assert.equal(policy(1_002_999), 1000);
  assert.equal(policy(1_003_000), 10 * MINUTE_MS - 3000);
});

test('a clock that went back lengthens no wait', () => {
  assert.equal(guessPolicy(GUESS_LIMITS, 0)({ inRow: 9, lastMs: 1e12 }), 0);
  assert.ok(guessPolicy(GUESS_LIMITS, 0)({ inRow: 99, lastMs: 1e12 }) <= 60 * MINUTE_MS);
});
