import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const WANTED_BYTES = 4 << 20; // of one half

// a process of its own: the flags are those of a whole process
const PROGRAM = `
import { setImmediate } from 'node:timers/promises';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import ${JSON.stringify(new URL('small_heap.ts', import.meta.url).href)};
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
function youngBytes() {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return space.space_used_size + space.space_available_size;
}
async function work() {
  const kept = [];
  for (let round = 0; round < 60; round += 1) {
    for (let i = 0; i < 20_000; i += 1) kept.push([i]);
    await setImmediate();
  }
}
await work();
const worked = youngBytes();
collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
const rested = youngBytes();
await work();
console.log(JSON.stringify({ worked, rested, again: youngBytes() }));
`;

test('a young generation that shrank while nothing was done grows again, and to its bound alone', () => {
  const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', PROGRAM], { encoding: 'utf8' });
  const { worked, rested, again } = JSON.parse(printed) as Record<'worked' | 'rested' | 'again', number>;
  assert.ok(rested < WANTED_BYTES, printed);
  for (const bytes of [worked, again]) assert.ok(bytes >= WANTED_BYTES && bytes < 2 * WANTED_BYTES, printed);
});
