import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SEED_END = 2 ** 31;
const simulate = (...args: string[]): string => {
  const main = fileURLToPath(new URL('simulate.ts', import.meta.url));
  return spawnSync(process.execPath, [main, '--layer', 'plan', ...args], { encoding: 'utf8' }).stdout;
};

test('a campaign begins at the seed it is given, and without one at the time, so that it goes on where none has looked', () => {
  assert.match(simulate('--seed', '7'), /^plan: 1 seeds from 7, all well/);
  const beforeMs = Date.now();
  const [, first] = /^plan: 3 seeds from (\d+), all well/.exec(simulate('--seeds', '3')) ?? [];
  const sinceMs = (Number(first) - (beforeMs % SEED_END) + SEED_END) % SEED_END;
  assert.ok(sinceMs <= Date.now() - beforeMs, `it begins at ${first}`);
});
