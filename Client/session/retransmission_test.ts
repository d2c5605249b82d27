import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIMING, waitMs, withSample } from './retransmission.ts';

const MIDDLE = 0.5; // no jitter

test('before the first sample the wait is a second, doubled from the second repeat on up to the ceiling', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 30].map((repeats) => waitMs(null, repeats, MIDDLE)),
    [1000, 1000, 2000, TIMING.ceilingMs, TIMING.ceilingMs],
  );
});

test('after a sample the wait follows the round trip, never below 250 ms', () => {
  const quick = withSample(null, 2);
  assert.equal(waitMs(quick, 0, MIDDLE), TIMING.floorMs);
  const slow = withSample(null, 300);
  assert.equal(waitMs(slow, 0, MIDDLE), 300 + 4 * 150);
  const steady = Array.from({ length: 50 }, () => 300).reduce(withSample, slow);
  assert.ok(Math.abs(waitMs(steady, 0, MIDDLE) - 300) < 1);
  assert.ok(waitMs(withSample(steady, 900), 0, MIDDLE) > 900);
});

test('the jitter is ten percent each way', () => {
  assert.deepEqual(
    [0, 1].map((random) => waitMs(null, 0, random)),
    [900, 1100],
  );
});
