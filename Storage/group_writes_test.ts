import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupWrites } from './group_writes.ts';

type Rows = string[];

/** A transaction over a list: what a failed one did is taken back. */
function list(): { rows: Rows; transactions: number; run(body: (trx: Rows) => Promise<void>): Promise<void> } {
  return {
    rows: [],
    transactions: 0,
    async run(body) {
      this.transactions += 1;
      const copy = [...this.rows];
      await body(copy);
      this.rows = copy;
    },
  };
}

test('writes that come together share a transaction, in their order, each with its own result', async () => {
  const store = list();
  const write = groupWrites<Rows>((body) => store.run(body));
  const results = await Promise.all(Array.from({ length: 50 }, (_, n) => write(async (rows) => rows.push(`${n}`))));
  assert.deepEqual(
    results,
    Array.from({ length: 50 }, (_, n) => n + 1),
  );
  assert.deepEqual(
    store.rows,
    Array.from({ length: 50 }, (_, n) => `${n}`),
  );
  assert.ok(store.transactions <= 2);
});

test('a write that fails fails alone', async () => {
  const store = list();
  const write = groupWrites<Rows>((body) => store.run(body));
  const bad = write(async (rows) => {
    rows.push('half');
    throw new Error('no');
  });
  const settled = await Promise.allSettled([write(async (rows) => rows.push('a')), bad, write(async (rows) => rows.push('b'))]);
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(store.rows, ['a', 'b']);
});

test('nothing is reported done before its transaction is', async () => {
  let finish: () => void = () => undefined;
  const write = groupWrites<Rows>(async (body) => {
    await body([]);
    await new Promise<void>((done) => {
      finish = done;
    });
  });
  let isDone = false;
  const begun = new Promise<void>((started) => {
    void write(async () => started()).then(() => {
      isDone = true;
    });
  });
  await begun;
  await new Promise(setImmediate);
  assert.equal(isDone, false);
  finish();
  await new Promise(setImmediate);
  assert.equal(isDone, true);
});
