import assert from 'node:assert/strict';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { openDatabase } from './database.ts';
import { databaseError } from './database_errors.ts';

type Schema = { things: { id: number; name: string; bytes: Buffer | null } };

async function place(t: TestContext): Promise<{ file: string; migrations: URL; add(name: string, text: string): Promise<void> }> {
  const folder = await temporaryFolder(t);
  const migrations = join(folder, 'things');
  await mkdir(migrations);
  const add = (name: string, text: string): Promise<void> => writeFile(join(migrations, name), text);
  await add('0001-things.sql', 'CREATE TABLE things (id {int8} PRIMARY KEY, name {text} NOT NULL, bytes {blob}) {strict};');
  return { file: join(folder, 'things.db'), migrations: pathToFileURL(migrations), add };
}

test('what is written in a transaction is seen by readers after it, bytes come back as a Buffer', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  await database.write(async (trx) => {
    await trx
      .insertInto('things')
      .values({ id: 1, name: 'one', bytes: Buffer.from([1, 2]) })
      .execute();
    assert.deepEqual(await database.db.selectFrom('things').selectAll().execute(), []);
  });
  assert.deepEqual(await database.db.selectFrom('things').selectAll().execute(), [{ id: 1, name: 'one', bytes: Buffer.from([1, 2]) }]);
  const { rows } = await sql<{ joined: Buffer }>`select bytes as joined from things union all select zeroblob(1)`.execute(database.db);
  assert.deepEqual(rows, [{ joined: Buffer.from([1, 2]) }, { joined: Buffer.from([0]) }]);
});

test('the database is private, in WAL mode, and every commit reaches the disk', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  await database.write(async (trx) => {
    const value = async (name: string): Promise<unknown> =>
      Object.values((await sql<object>`${sql.raw(`pragma ${name}`)}`.execute(trx)).rows[0] ?? {})[0];
    const expected = { journal_mode: 'wal', synchronous: 2, foreign_keys: 1, trusted_schema: 0, cell_size_check: 1, busy_timeout: 5000 };
    for (const [name, setting] of Object.entries(expected)) assert.equal(await value(name), setting, name);
  });
});

test('a transaction that throws leaves nothing, and the next one runs', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  const failed = database.write(async (trx) => {
    await trx.insertInto('things').values({ id: 1, name: 'one', bytes: null }).execute();
    throw new Error('half way');
  });
  const next = database.write((trx) => trx.insertInto('things').values({ id: 2, name: 'two', bytes: null }).execute());
  await assert.rejects(failed, /half way/);
  await next;
  assert.deepEqual(await database.db.selectFrom('things').select('id').execute(), [{ id: 2 }]);
});

test('write transactions run one at a time, in the order they were asked for', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      database.write(async (trx) => {
        const { count } = await trx
          .selectFrom('things')
          .select((e) => e.fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow();
        assert.equal(count, n);
        await trx.insertInto('things').values({ id: n, name: 'x', bytes: null }).execute();
      }),
    ),
  );
});

test('what comes for a transaction that is over is refused, be it undone or kept, and not written beside it', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  const late: Parameters<Parameters<typeof database.write>[0]>[0][] = [];
  await database.write(async (trx) => void late.push(trx));
  await assert.rejects(
    database.write(async (trx) => {
      late.push(trx);
      throw new Error('no');
    }),
  );
  assert.equal(late.length, 2);
  for (const trx of late)
    await assert.rejects(trx.insertInto('things').values({ id: 1, name: 'late', bytes: null }).execute(), /^Error: Transaction is already/);
  assert.deepEqual(await database.db.selectFrom('things').selectAll().execute(), []);
});

test('dates, booleans and objects are refused as parameters instead of being stored as something else', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  for (const wrong of [new Date(0), true, { name: 'x' }, undefined]) {
    await assert.rejects(
      database.write((trx) => sql`insert into things values (${wrong}, 'x', null)`.execute(trx)),
      TypeError,
    );
  }
});

test('a reader of another process needs a set up database and cannot write', async (t) => {
  const { file, migrations } = await place(t);
  await assert.rejects(openDatabase({ kind: 'sqlite', file, readOnly: true }, migrations), { code: 'storage_unavailable' });
  const owner = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => owner.close());
  const reader = await openDatabase<Schema>({ kind: 'sqlite', file, readOnly: true }, migrations);
  t.after(() => reader.close());
  await owner.write((trx) => trx.insertInto('things').values({ id: 1, name: 'one', bytes: null }).execute());
  assert.equal((await reader.db.selectFrom('things').selectAll().execute()).length, 1);
  await assert.rejects(reader.db.deleteFrom('things').execute(), /readonly/);
  assert.throws(() => reader.write(async () => undefined), /reading only/);
});

test('migrations run forward once; a changed or unknown one refuses to start', async (t) => {
  const { file, migrations, add } = await place(t);
  const open = async (): Promise<void> => (await openDatabase<Schema>({ kind: 'sqlite', file }, migrations)).close();
  await open();
  await add('0002-more.sql', 'CREATE TABLE more (id {int8} PRIMARY KEY) {strict}; INSERT INTO more VALUES (1);');
  await open();
  await open();
  await add('0003-broken.sql', 'CREATE TABLE broken (id {int8} PRIMARY KEY) {strict}; INSERT INTO nowhere VALUES (1);');
  await assert.rejects(open(), /nowhere/);
  await add('0003-broken.sql', 'CREATE TABLE broken (id {int8} PRIMARY KEY) {strict};');
  await open();
  await add('0002-more.sql', 'CREATE TABLE more (id {int8} PRIMARY KEY, name {text}) {strict};');
  await assert.rejects(open(), { code: 'data_folder_unusable' });
  await rm(new URL(`${migrations.href}/0003-broken.sql`));
  await rm(new URL(`${migrations.href}/0002-more.sql`));
  await assert.rejects(open(), { code: 'data_folder_unusable' });
});

test('a file that is no database, and a folder that is not there, are refused by code', async (t) => {
  const { file, migrations } = await place(t);
  await writeFile(file, 'this is not a database, and long enough to be read as one'.repeat(100));
  await assert.rejects(openDatabase({ kind: 'sqlite', file }, migrations), { code: 'corrupt' });
  await assert.rejects(openDatabase({ kind: 'sqlite', file: join(file, 'x.db') }, migrations), { code: 'data_folder_unusable' });
});

test('what finds the file damaged says so, be it a read or a write', async (t) => {
  const { file, migrations } = await place(t);
  const before = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  const rows = Array.from({ length: 500 }, (_, id) => ({ id, name: 'x'.repeat(200), bytes: null }));
  await before.write((trx) => trx.insertInto('things').values(rows).execute());
  await before.close();
  const content = await readFile(file);
  await writeFile(file, content.fill(0xff, content.length / 2));
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  await assert.rejects(database.db.selectFrom('things').selectAll().execute(), { code: 'corrupt' });
  await assert.rejects(
    database.write((trx) => trx.updateTable('things').set({ name: '' }).execute()),
    { code: 'corrupt' },
  );
  await assert.rejects(
    database.write(async () => undefined),
    { code: 'storage_unavailable' },
    'nothing more is acknowledged',
  );
});

test('a full database says so, keeps what it has, and goes on once there is room', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  const insert = (id: number): Promise<unknown> =>
    database.write((trx) =>
      trx
        .insertInto('things')
        .values({ id, name: 'x', bytes: Buffer.alloc(50_000) })
        .execute(),
    );
  await insert(1);
  await database.write((trx) => sql`pragma max_page_count = 20`.execute(trx));
  await assert.rejects(insert(2), { code: 'storage_full' });
  assert.deepEqual(await database.db.selectFrom('things').select('id').execute(), [{ id: 1 }]);
  await database.write((trx) => sql`pragma max_page_count = 1000`.execute(trx));
  await insert(3);
});

test('after an I/O error nothing more is acknowledged', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => database.close());
  const fsyncFailed = databaseError(Object.assign(new Error('disk I/O error'), { errcode: 1034 })); // as a statement fails
  await assert.rejects(
    database.write(() => Promise.reject(fsyncFailed)),
    { code: 'storage_unavailable' },
  );
  await assert.rejects(
    database.write(async () => undefined),
    { code: 'storage_unavailable' },
  );
  assert.deepEqual(await database.db.selectFrom('things').selectAll().execute(), []);
});

test('writes asked for before closing are done, and closing twice is closing once', async (t) => {
  const { file, migrations } = await place(t);
  const database = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  const insert = database.write((trx) => trx.insertInto('things').values({ id: 1, name: 'x', bytes: null }).execute());
  await Promise.all([insert, database.close(), database.close()]);
  const again = await openDatabase<Schema>({ kind: 'sqlite', file }, migrations);
  t.after(() => again.close());
  assert.equal((await again.db.selectFrom('things').selectAll().execute()).length, 1);
});
