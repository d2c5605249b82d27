import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveBack } from './received_bytes.ts';

test('a buffer is given back when all of it is known not to be needed, and no other one', () => {
  const whole = new Uint8Array(1000);
  const shared = new Uint8Array(1000).fill(7);
  const pieces = [whole, shared.subarray(0, 999), shared.subarray(999), new Uint8Array(0)];
  giveBack(pieces);
  assert.equal(whole.buffer.byteLength, 0);
  assert.deepEqual(shared, new Uint8Array(1000).fill(7));
  giveBack(pieces); // nothing is given back twice
});
