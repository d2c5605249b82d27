import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { type Database, type DatabaseAddress, openDatabase } from '../database.ts';
import type { Metadata } from '../metadata.ts';
import { MIGRATIONS, openSqlMetadata, openStore, sqlMetadata } from '../sql_metadata.ts';
import { sqliteAddress, usePostgres } from '../testing/databases.ts';
import { assertAllOrNothing, type Fault, failing } from '../testing/failing_database.ts';
import { hammer } from '../testing/metadata_contract_safety.ts';
import {
  alice,
  allChanges,
  bob,
  chunkOf,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  newStream,
  put,
  remove,
  share,
  symlink,
} from '../testing/metadata_fixture.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';

const postgres = usePostgres();

const postgresAddress = async (t: TestContext): Promise<DatabaseAddress> => ({
  kind: 'postgres',
  url: await postgres().createReadyDatabase(t),
});

const one = contentOf('one');
const many = contentOf('part one', 'part two');

async function ground(store: Metadata): Promise<void> {
  await done(
    store,
    alice,
    [put('/team/f', one), put('/team/many', many), put('/a', one), put('/gone/x', many), mkdir('/plain/sub')],
    [one, many],
  );
  await share(store, '/team', bob);
}

const OPERATIONS = [
  put('/new/a', one),
  put('/a', many),
  move('/team/f', '/f'),
  copy('/gone', '/team/copy'),
  remove('/gone'),
  symlink('/l', 'x'),
  move('/a', '/new/b'),
  mkdir('/z'),
];

type Action = [what: string, run: (store: Metadata) => Promise<unknown>];
const ACTIONS: Action[] = [
  ['a commit', (store) => store.commit(alice, newStream(), [chunkOf('fresh')], OPERATIONS)],
  ['an invitation', (store) => store.invite(alice, { path: '/plain', userId: bob.userId, userName: 'bob', role: 'viewer', message: null })],
  ['leaving', (store) => store.leave(bob, '/team')],
  ['deleting a shared folder', (store) => store.commit(alice, newStream(), [], [remove('/team')])],
];

async function everything(store: Metadata): Promise<unknown> {
  const seen = async (who: typeof alice): Promise<unknown> => [
    await listing(store, who),
    (await allChanges(store, who)).changes,
    await store.invitations(who),
    await store.have(who, [chunkOf('fresh').digest]),
  ];
  return [await seen(alice), await seen(bob), await store.members(alice, '/team').catch(() => 'none')];
}

/** The code is the same on both; one action on PostgreSQL shows that its transactions are. */
const PLACES = [
  ['SQLite', sqliteAddress, ACTIONS],
  ['PostgreSQL', postgresAddress, ACTIONS.slice(1, 2)],
] as const;
for (const [name, address, actions] of PLACES) {
  for (const [what, run] of actions) {
    test(`${what} that fails after any of its statements leaves nothing, on ${name}`, async (t) => {
      const fault: Fault = { failAfter: 0 };
      const database = await openDatabase<MetadataSchema>(await address(t), MIGRATIONS);
      const store = await sqlMetadata(openStore(failing(database, fault)));
      t.after(() => store.close());
      await ground(store);
      await assertAllOrNothing(
        fault,
        () => run(store),
        () => everything(store),
      );
    });
  }
}

test('two servers on one PostgreSQL write into one folder at once: no gap in the journal, nothing lost', async (t) => {
  const address = await postgresAddress(t);
  const stores = [await openSqlMetadata(address), await openSqlMetadata(address)];
  t.after(() => Promise.all(stores.map((store) => store.close())));
  const [first] = stores as [Metadata, Metadata];
  await done(first, alice, [mkdir('/team')]);
  await share(first, '/team', bob);
  await hammer(stores);
});

test('two servers that see a user first at the same time make one home', async (t) => {
  const address = await postgresAddress(t);
  const stores = [await openSqlMetadata(address), await openSqlMetadata(address)];
  t.after(() => Promise.all(stores.map((store) => store.close())));
  await Promise.all(stores.flatMap((store, i) => [0, 1, 2].map((n) => done(store, alice, [mkdir(`/d${i}${n}`)]))));
  for (const store of stores) assert.equal((await listing(store, alice)).length, 6);
});

test('moves between two shared folders in opposite directions at once end, and lose nothing', async (t) => {
  const address = await postgresAddress(t);
  const stores = [await openSqlMetadata(address), await openSqlMetadata(address)];
  t.after(() => Promise.all(stores.map((store) => store.close())));
  const [first, second] = stores as [Metadata, Metadata];
  await done(first, alice, [mkdir('/left/l'), mkdir('/right/r')]);
  for (const path of ['/left', '/right']) await share(first, path, bob);
  for (let round = 0; round < 10; round += 1) {
    const [here, there] = round % 2 === 0 ? ['/left', '/right'] : ['/right', '/left'];
    await Promise.all([done(first, alice, [move(`${here}/l`, `${there}/l`)]), done(second, bob, [move(`${there}/r`, `${here}/r`)])]);
  }
  assert.deepEqual(await listing(first, alice), await listing(second, bob));
  assert.deepEqual(await listing(first, alice), ['/left folder', '/left/l folder', '/right folder', '/right/r folder']);
});

/** Resolves once so many transactions wait for a lock of this database. */
async function waiting(database: Database<MetadataSchema>, count: number): Promise<void> {
  for (let found = 0; found < count; ) {
    const { rows } = await sql<{
      found: number;
    }>`SELECT count(DISTINCT l.pid) AS found FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE NOT l.granted AND a.datname = current_database()`.execute(database.db);
    found = rows[0]?.found ?? 0;
  }
}

test('a transaction that the database ends because of a deadlock is run again', async (t) => {
  const database = await openDatabase<MetadataSchema>(await postgresAddress(t), MIGRATIONS);
  t.after(() => database.close());
  await database.write((trx) => sql`INSERT INTO counters VALUES ('a', 0), ('b', 0)`.execute(trx));
  let attempts = 0;
  const both = Promise.withResolvers<void>();
  const add = (names: readonly string[]): Promise<void> =>
    database.write(async (trx) => {
      attempts += 1;
      for (const name of names) {
        await sql`UPDATE counters SET next = next + 1 WHERE name = ${name}`.execute(trx);
        if (attempts === 2) both.resolve();
        await both.promise; // each holds one row before either asks for the other
      }
    });
  await Promise.all([add(['a', 'b']), add(['b', 'a'])]);
  assert.equal(attempts, 3);
  const { rows } = await sql<{ next: number }>`SELECT next FROM counters WHERE name IN ('a', 'b')`.execute(database.db);
  assert.deepEqual(rows, [{ next: 2 }, { next: 2 }]);
});

test('a commit that had to wait sees what changed while it waited', async (t) => {
  const address = await postgresAddress(t);
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  const store = await openSqlMetadata(address);
  t.after(() => Promise.all([store.close(), database.close()]));
  await done(store, alice, [mkdir('/team')]);
  await share(store, '/team', bob);
  const commit = await database.write(async (trx) => {
    await sql`SELECT id FROM spaces WHERE home_of = ${bob.userId} FOR UPDATE`.execute(trx);
    const pending = done(store, bob, [mkdir('/team/mine')]);
    await waiting(database, 1);
    await sql`UPDATE nodes SET name = 'renamed', key = 'RENAMED' WHERE mount IS NOT NULL AND name = 'team' AND space IN
      (SELECT id FROM spaces WHERE home_of = ${bob.userId})`.execute(trx);
    return { pending };
  });
  await commit.pending;
  assert.deepEqual(await listing(store, alice), ['/team folder']);
  assert.deepEqual(await listing(store, bob), ['/renamed folder', '/team folder', '/team/mine folder']);
});
