import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Kysely, SqliteDialect } from 'kysely';
import { sqliteShim } from './sqlite_shim.ts';
import { statement } from './statement.ts';

type Schema = { notes: { id: string; text: string | null; size: number } };

function open(): Kysely<Schema> {
  const file = new DatabaseSync(':memory:');
  file.exec('CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT, size INTEGER NOT NULL)');
  return new Kysely<Schema>({ dialect: new SqliteDialect({ database: sqliteShim(file) }) });
}

test('a statement is built once for each database and runs with the values of each time, in transactions too', async () => {
  let built = 0;
  const add = statement((db: Kysely<Schema>, { id, text }: { id: string; text: string | null }) => {
    built += 1;
    return db.insertInto('notes').values({ id, text, size: 7 }).returning(['id', 'size']);
  });
  const find = statement((db: Kysely<Schema>, { least, id }: { least: number; id: string }) =>
    db.selectFrom('notes').select('text').where('size', '>=', least).where('id', '=', id).limit(1),
  );
  const [one, other] = [open(), open()];
  assert.deepEqual((await add(one, { id: 'a', text: 'first' })).rows, [{ id: 'a', size: 7 }]);
  await one.transaction().execute(async (trx) => {
    await add(trx, { id: 'b', text: null });
    assert.deepEqual((await find(trx, { id: 'b', least: 7 })).rows, [{ text: null }]);
  });
  await add(other, { id: 'a', text: 'of the other' });
  assert.equal(built, 2);
  assert.deepEqual((await find(one, { id: 'a', least: 0 })).rows, [{ text: 'first' }]);
  assert.deepEqual((await find(one, { id: 'a', least: 8 })).rows, []);
  assert.deepEqual((await find(other, { id: 'a', least: 0 })).rows, [{ text: 'of the other' }]);
});

test('a statement that is built from the value of an input is refused', async () => {
  const find = statement((db: Kysely<Schema>, { id }: { id: string }) => db.selectFrom('notes').select('id').where('id', '=', `${id}!`));
  assert.throws(() => find(open(), { id: 'a' }), { name: 'TypeError', message: /value of id is not known/ });
});

test('a value that was forgotten is refused, not taken for null', async () => {
  const find = statement((db: Kysely<Schema>, { id }: { id?: string }) =>
    db
      .selectFrom('notes')
      .select('id')
      .where('id', '=', id ?? ''),
  );
  await assert.rejects(find(open(), {}), { name: 'TypeError', message: /undefined/ });
});
