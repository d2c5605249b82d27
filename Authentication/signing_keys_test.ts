import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import {
  inOrder,
  isRotating,
  isRotationDue,
  publishedKeysAt,
  ROTATION,
  type SigningKey,
  signingKeyAt,
  stateOfKey,
} from './signing_keys.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const START_MS = 1_800_000_000_000;
const key = (id: string, afterMs: number): SigningKey => ({ id, key: privateKey, signsFromMs: START_MS + afterMs });
const idsAt = (keys: readonly SigningKey[], afterMs: number): string =>
  publishedKeysAt(keys, START_MS + afterMs)
    .map(({ id }) => id)
    .join();

test('a key signs from its moment until that of the next, and is published until its last ticket is over', () => {
  const keys = [key('a', 0), key('b', 1000), key('c', 5000)];
  const over = ROTATION.overlapMs;
  for (const [afterMs, signs, published] of [
    [0, 'a', 'a,b,c'],
    [999, 'a', 'a,b,c'],
    [1000, 'b', 'a,b,c'],
    [4999, 'b', 'a,b,c'],
    [5000, 'c', 'a,b,c'],
    [1000 + over - 1, 'c', 'a,b,c'],
    [1000 + over, 'c', 'b,c'],
    [5000 + over, 'c', 'c'],
    [5000 + 100 * over, 'c', 'c'],
  ] as const) {
    assert.equal(signingKeyAt(keys, START_MS + afterMs).id, signs, `${afterMs}`);
    assert.equal(idsAt(keys, afterMs), published, `${afterMs}`);
  }
  const [a, b, c] = keys as [SigningKey, SigningKey, SigningKey];
  assert.deepEqual(
    [a, b, c].map((one) => stateOfKey(keys, one, START_MS + 1000)),
    ['checks', 'signs', 'will sign'],
  );
});

test('a clock that is set far back finds a key to sign with, and gets one of its own', () => {
  const keys = [key('a', 0), key('b', 1000)];
  const backMs = START_MS - 400 * 24 * 3_600_000;
  assert.equal(signingKeyAt(keys, backMs).id, 'a');
  assert.equal(isRotationDue(keys, backMs), true);
  const more = inOrder([...keys, { ...key('back', 0), signsFromMs: backMs + ROTATION.aheadMs }]);
  assert.equal(isRotationDue(more, backMs), false);
  assert.equal(isRotating(more, backMs), true);
  assert.equal(signingKeyAt(more, backMs + ROTATION.aheadMs).id, 'back');
});

test('a key is replaced when it has signed for ninety days, and not while the next one waits', () => {
  const keys = [key('a', 0)];
  assert.equal(isRotationDue(keys, START_MS + ROTATION.everyMs - 1), false);
  assert.equal(isRotationDue(keys, START_MS + ROTATION.everyMs), true);
  const next = [...keys, key('b', ROTATION.everyMs + ROTATION.aheadMs)];
  assert.equal(isRotationDue(next, START_MS + ROTATION.everyMs), false);
  assert.equal(isRotating(next, START_MS + ROTATION.everyMs), true);
  assert.equal(isRotating(next, START_MS + ROTATION.everyMs + ROTATION.aheadMs), false);
});
