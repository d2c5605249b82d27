import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const simulate = (...args: string[]): string => {
  const main = fileURLToPath(new URL('simulate.ts', import.meta.url));
  return spawnSync(process.execPath, [main, '--layer', 'plan', ...args], { encoding: 'utf8' }).stdout;
};

test('a campaign begins at the seed it is given, and without one anywhere, so that it goes on where none has looked', () => {
  assert.match(simulate('--seed', '7'), /^plan: 1 seeds from 7, all well/);
  const firsts = [1, 2].map(() => /^plan: 0 seeds from (\d+), all well/.exec(simulate('--seeds', '0'))?.[1]);
  assert.ok(firsts[0] !== undefined && firsts[0] !== firsts[1], `it begins at ${firsts.join(' and ')}`);
});
