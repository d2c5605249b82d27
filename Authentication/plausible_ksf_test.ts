import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPlausibleKsf } from './plausible_ksf.ts';

const [OLD, NEW] = [
  { memoryKiB: 1024, iterations: 2, parallelism: 1 },
  { memoryKiB: 2048, iterations: 3, parallelism: 1 },
];
const names = Array.from({ length: 2000 }, (_, n) => `NAME${n}`);

test('a name that nobody has asks for what accounts have, as often as they do, and goes the way that they go', async () => {
  let users = [0, 0];
  const accounts = { ksfShares: async () => [OLD, NEW].map((ksf, at) => ({ ksf, users: users[at] ?? 0 })) };
  const ksfOf = createPlausibleKsf({ accounts, master: Buffer.alloc(32, 7), standard: NEW });
  const olds = () => new Set(names.filter((name) => ksfOf.of(name) === OLD));
  assert.equal(olds().size, 0, 'before there is an account it is that of new ones');
  let before = new Set(names);
  for (const old of [100, 75, 50, 10, 0]) {
    users = [old, 100 - old];
    await ksfOf.refresh();
    const now = olds();
    assert.ok(Math.abs(now.size - (names.length * old) / 100) < 80, `${now.size} of ${names.length} at ${old} %`);
    assert.deepEqual(
      [...now].filter((name) => !before.has(name)),
      [],
      'none goes back to what was before',
    );
    before = now;
  }
  const other = createPlausibleKsf({ accounts, master: Buffer.alloc(32, 8), standard: NEW });
  users = [50, 50];
  await Promise.all([ksfOf.refresh(), other.refresh()]);
  assert.ok(
    names.some((name) => ksfOf.of(name) !== other.of(name)),
    'it cannot be known without the secret',
  );
});
