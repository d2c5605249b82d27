import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { OwnTime } from './processor_time.ts';

const skip = !existsSync('/proc/thread-self/schedstat') && 'the system does not tell who was held up';

test('a loop that is blocked without using the processor is not excused', { skip }, () => {
  using time = new OwnTime();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); // as a lock or a slow disk does
  assert.ok(time.ms > 200, `${time.ms} ms`);
});
