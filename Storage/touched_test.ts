import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Transaction } from 'kysely';
import type { Database } from './database.ts';
import { type Touched, tellingTouched } from './touched.ts';

type Schema = Record<string, never>;

/** Runs each transaction as often as it says, as after a deadlock; only the last attempt is kept. */
function attempting(attempts: () => number): Database<Schema> {
  return {
    db: null as never,
    dialect: 'postgres',
    async write(body) {
      for (let left = attempts(); ; left -= 1) {
        const result = await body({} as Transaction<Schema>);
        if (left === 1) return result;
      }
    },
    close: async () => undefined,
  };
}

test('what an attempt touched that was rolled back is not told, nor what a transaction that failed did', async () => {
  const told: Touched[] = [];
  let attempts = 2;
  const { database, touchedBy } = tellingTouched(
    attempting(() => attempts),
    (touched) => told.push(touched),
  );
  let attempt = 0;
  await database.write(async (trx) => {
    attempt += 1;
    touchedBy(trx).spaces.add(attempt);
  });
  assert.deepEqual(told, [{ spaces: new Set([2]), users: new Set() }]);
  attempts = 1;
  const failing = database.write(async (trx) => {
    touchedBy(trx).users.add('alice');
    throw new Error('no space left');
  });
  await assert.rejects(failing);
  await database.write(async () => undefined);
  assert.equal(told.length, 1);
  assert.throws(() => touchedBy({}));
});
