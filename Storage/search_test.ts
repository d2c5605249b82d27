import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { foldName } from '../Models/names.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { type DatabaseAddress, openDatabase } from './database.ts';
import { openNameIndex, spaceMark } from './name_index.ts';
import { type Search, type SearchQuery, sqlSearch } from './search.ts';
import { openServerStore, type ServerStore } from './server_store.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { MIGRATIONS, openStore, sqlMetadata } from './sql_metadata.ts';
import { newDatabases, sqliteAddress } from './testing/databases.ts';
import { alice, bob, carol, contentOf, done, listing, mkdir, move, put, remove, share } from './testing/metadata_fixture.ts';

async function open(t: TestContext, address: DatabaseAddress): Promise<ServerStore> {
  const store = await openServerStore(address);
  t.after(() => store.close());
  return store;
}

const QUERY: SearchQuery = { text: '', kind: null, sinceUs: null, largerBytes: null, after: null, limit: 1000 };

/** The paths that are found, page after page, in their order. */
async function found({ search }: { search: Search }, who: typeof alice, query: string | Partial<SearchQuery>): Promise<string[]> {
  const paths: string[] = [];
  let after: string | null = null;
  do {
    const page = await search.search(who, { ...QUERY, after, ...(typeof query === 'string' ? { text: query } : query) });
    for (const { path } of page.entries) paths.push(path);
    after = page.next;
  } while (after !== null);
  return paths;
}

const SMALL = contentOf('small');
const LONG = contentOf('long'.repeat(1000));

for (const [name, addressFor] of newDatabases()) {
  const opened = async (t: TestContext): Promise<ServerStore> => open(t, await addressFor(t));

  test(`part of a name finds it in any spelling, the newest first, on ${name}`, async (t) => {
    const store = await opened(t);
    await done(store.metadata, alice, [mkdir('/Straße'), put('/Straße/Über.txt', SMALL), put('/über 100%_sure.txt', SMALL)], [SMALL]);
    assert.deepEqual(await found(store, alice, 'ÜBER'), ['/über 100%_sure.txt', '/Straße/Über.txt']);
    assert.deepEqual(await found(store, alice, 'STRASSE'), ['/Straße']);
    for (const text of ['100%', '%_s', '0%_SURE.TX']) assert.deepEqual(await found(store, alice, text), ['/über 100%_sure.txt'], text);
    for (const text of ['1%', '_t', '"', 'über"', '" OR "TXT', '\\', 'überx']) assert.deepEqual(await found(store, alice, text), [], text);
    assert.equal((await found(store, alice, 't')).length, 3);
    await assert.rejects(store.search.search(alice, QUERY), { code: 'request_invalid' });
    await assert.rejects(store.search.search(alice, { ...QUERY, text: 'a', after: 'x' }), { code: 'cursor_invalid' });
    assert.deepEqual(await found(store, bob, 'über'), [], 'a user who has nothing');
  });

  test(`a name is found where it is now, and not where it was, on ${name}`, async (t) => {
    const store = await opened(t);
    const { metadata } = store;
    await done(metadata, alice, [mkdir('/a'), mkdir('/a/b'), put('/a/b/report.txt', SMALL), put('/a/other.txt', SMALL)], [SMALL]);
    assert.deepEqual(await found(store, alice, 'report'), ['/a/b/report.txt']);
    await done(metadata, alice, [move('/a/b', '/c')]);
    assert.deepEqual(await found(store, alice, 'report'), ['/c/report.txt']);
    await done(metadata, alice, [move('/c/report.txt', '/c/final.txt'), move('/a/other.txt', '/a/report.txt')]);
    assert.deepEqual(await found(store, alice, 'report'), ['/a/report.txt']);
    assert.deepEqual(await found(store, alice, 'final'), ['/c/final.txt']);
    assert.deepEqual(await found(store, alice, 'other'), []);
    await done(metadata, alice, [remove('/c')]);
    assert.deepEqual(await found(store, alice, 'final'), [], 'below a deleted folder');
    await done(metadata, alice, [remove('/a/report.txt'), put('/report.txt', LONG)], [LONG]);
    assert.deepEqual(await found(store, alice, 'report'), ['/report.txt']);
  });

  test(`what others share is found where it is mounted, what they do not is not, on ${name}`, async (t) => {
    const store = await opened(t);
    const { metadata } = store;
    await done(metadata, alice, [mkdir('/team'), put('/team/plan.txt', SMALL), put('/plan of mine.txt', SMALL)], [SMALL]);
    assert.deepEqual(await found(store, alice, 'plan'), ['/plan of mine.txt', '/team/plan.txt']);
    await share(metadata, '/team', bob);
    await done(metadata, bob, [mkdir('/x'), move('/team', '/x/of alice'), put('/x/of alice/second plan', SMALL)], [SMALL]);
    assert.deepEqual(await found(store, bob, 'plan'), ['/x/of alice/second plan', '/x/of alice/plan.txt']);
    assert.deepEqual(await found(store, bob, 'of alice'), ['/x/of alice']);
    assert.deepEqual(await found(store, bob, 'team'), []);
    assert.deepEqual(await found(store, alice, 'TEAM'), ['/team']);
    assert.deepEqual((await found(store, alice, 'plan')).sort(), ['/plan of mine.txt', '/team/plan.txt', '/team/second plan']);
    assert.deepEqual(await found(store, carol, 'plan'), []);
    await done(metadata, alice, [mkdir('/late'), put('/late/plan', SMALL)], [SMALL]);
    await share(metadata, '/late', carol);
    for (const who of [carol, alice, carol]) assert.equal((await found(store, who, 'plan')).includes('/late/plan'), true, who.userName);
    await metadata.leave(bob, '/x/of alice');
    assert.deepEqual(await found(store, bob, 'plan'), []);
    assert.deepEqual(await found(store, bob, 'alice'), []);
  });

  test(`kind, time and size narrow what is found, on ${name}`, async (t) => {
    const store = await opened(t);
    const puts = [put('/n1.JPG', SMALL), put('/n2.pdf', LONG, { mtimeUs: 2e15 }), put('/n3', LONG), put('/.n4', SMALL)];
    await done(store.metadata, alice, [mkdir('/n.jpg'), ...puts], [SMALL, LONG]);
    const narrowed: [Partial<SearchQuery>, string[]][] = [
      [{ kind: 'folder' }, ['/n.jpg']],
      [{ kind: 'file' }, ['/.n4', '/n3', '/n2.pdf', '/n1.JPG']],
      [{ kind: 'image' }, ['/n1.JPG']],
      [{ kind: 'document' }, ['/n2.pdf']],
      [{ kind: 'other' }, ['/.n4', '/n3']],
      [{ kind: 'symlink' }, []],
      [{ largerBytes: 5 }, ['/n3', '/n2.pdf']],
      [{ kind: 'file', sinceUs: 2e15 }, ['/n2.pdf']],
      [{ sinceUs: 2e15 + 1, kind: 'file' }, []],
    ];
    for (const [narrow, paths] of narrowed) {
      assert.deepEqual(await found(store, alice, { text: 'n', ...narrow }), paths, JSON.stringify(narrow));
    }
  });

  test(`pages of any length find what a look at every name finds, on ${name}`, async (t) => {
    const seed = testSeed('search');
    t.diagnostic(`seed ${seed}`);
    const next = seededRandom(seed);
    const random = (below: number): number => Math.floor(next() * below);
    const database = await openDatabase<MetadataSchema>(await addressFor(t), MIGRATIONS);
    t.after(() => database.close());
    const names = openNameIndex(database);
    t.after(() => names.close());
    const store = { metadata: await sqlMetadata(openStore(database)), search: sqlSearch(database, names, 7) };
    const word = (): string => Array.from({ length: 1 + random(7) }, () => 'abAéß."%'[random(8)]).join('');
    await done(store.metadata, alice, [mkdir('/0'), mkdir('/1'), mkdir('/shared')]);
    for (let round = 0; round < 4; round += 1) {
      const operations = Array.from({ length: 60 }, (_, i) => {
        const path = `/${['0', '1', 'shared'][random(3)]}/${word()}${round}${i}`;
        return random(3) === 0 ? mkdir(path) : put(path, SMALL);
      });
      await done(store.metadata, alice, operations, [SMALL]);
      const there = await listing(store.metadata, alice);
      const all = there.map((line) => line.replace(/ (file [0-9a-f]+|folder)$/, ''));
      await done(store.metadata, alice, [remove(all[random(all.length)] as string)]);
      if (round === 1) await share(store.metadata, '/shared', bob);
    }
    for (const who of [alice, bob]) {
      const all = (await listing(store.metadata, who)).map((line) => line.replace(/ (file [0-9a-f]+|folder)$/, ''));
      for (let i = 0; i < 30; i += 1) {
        const text = word().slice(0, 1 + random(5));
        const wanted = all.filter((path) => foldName(path.slice(path.lastIndexOf('/') + 1)).includes(foldName(text)));
        assert.deepEqual((await found(store, who, { text, limit: 1 + random(9) })).sort(), wanted.sort(), `${who.userName}: ${text}`);
      }
    }
  });
}

test('names made of the letters that stand for a space neither hide there nor hold up those who search it', async (t) => {
  const database = await openDatabase<MetadataSchema>(await sqliteAddress(t), MIGRATIONS);
  t.after(() => database.close());
  const metadata = await sqlMetadata(openStore(database));
  await done(metadata, alice, [mkdir('/report')]);
  const [change] = (await metadata.changes(alice, { after: null, limit: 1 })).changes;
  const mark = spaceMark(change?.space ?? 0);
  const names = Array.from({ length: 20 }, (_, i) => `/${mark}report${i}`);
  await done(
    metadata,
    bob,
    names.map((path) => mkdir(path)),
  );
  const index = openNameIndex(database);
  const search = sqlSearch(database, index, 4);
  assert.equal((await found({ search }, bob, `${mark}report`)).length, 20);
  const { entries, next } = await search.search(alice, { ...QUERY, text: 'report' });
  assert.deepEqual([entries.map(({ path }) => path), next], [['/report'], null], 'in the first page, which looks at four names');
});

test('more names than are indexed at once are all found', async (t) => {
  const store = await open(t, await sqliteAddress(t));
  const paths = Array.from({ length: 1100 }, (_, i) => `/n${i}`);
  await done(
    store.metadata,
    alice,
    paths.map((path) => mkdir(path)),
  );
  assert.deepEqual((await found(store, alice, 'n')).reverse(), paths);
});

test('names are indexed without anybody searching, also those of before the server was stopped', async (t) => {
  const address = await sqliteAddress(t);
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  t.after(() => database.close());
  const behind = async (): Promise<number> => {
    const spaces = await database.db.selectFrom('spaces').leftJoin('name_marks', 'space', 'id').select(['head', 'seq']).execute();
    return spaces.reduce((sum, { head, seq }) => sum + head - (seq ?? 0), 0);
  };
  const indexed = async (): Promise<void> => {
    while ((await behind()) > 0) await sleep(10);
  };
  const first = await openServerStore(address);
  first.beginIndexing();
  await done(first.metadata, alice, [mkdir('/a'), put('/a/report.txt', SMALL)], [SMALL]);
  assert.equal(await behind(), 2);
  await first.close();
  const second = await open(t, address);
  second.beginIndexing();
  await indexed();
  await done(second.metadata, alice, [mkdir('/b')]);
  assert.equal(await behind(), 1);
  await indexed();
});
