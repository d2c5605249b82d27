import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldUpMs, OwnTime } from './processor_time.ts';

const skip = heldUpMs() === undefined && 'the system does not tell who was held up';

test('a loop that is blocked without using the processor is not excused', { skip }, () => {
  using time = new OwnTime();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); // as a lock or a slow disk does
  assert.ok(time.ms > 200, `${time.ms} ms`);
});
