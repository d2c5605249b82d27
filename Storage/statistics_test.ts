import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from './database.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { MIGRATIONS, openStore, sqlMetadata } from './sql_metadata.ts';
import { sqlStatistics } from './statistics.ts';
import { newDatabases } from './testing/databases.ts';
import { alice, bob, carol, contentOf, done, mkdir, move, put, remove, share, symlink } from './testing/metadata_fixture.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1, 12);
const FIVE = contentOf('fives');
const NINE = contentOf('nineteen!');

for (const [name, addressFor] of newDatabases()) {
  test(`what is there and what was done in thirty days is counted, for each as they see it, on ${name}`, async (t) => {
    const database = await openDatabase<MetadataSchema>(await addressFor(t), MIGRATIONS);
    t.after(() => database.close());
    let nowMs = START;
    const now = (): number => nowMs;
    const metadata = await sqlMetadata(openStore(database, { now }));
    const statistics = sqlStatistics(database, now);
    const nothing = { files: 0, folders: 0, symlinks: 0, bytes: 0, kinds: [], days: [], busiest: [], changesSinceMs: START - 30 * DAY };
    assert.deepEqual(await statistics.report(bob, '/'), nothing);

    await done(
      metadata,
      alice,
      [mkdir('/a'), mkdir('/a/b'), put('/a/b/1.jpg', FIVE), put('/a/b/2.JPG', NINE), put('/old', FIVE)],
      [FIVE, NINE],
    );
    nowMs += 31 * DAY;
    await done(
      metadata,
      alice,
      [mkdir('/team'), mkdir('/ab'), put('/team/x.zip', NINE), symlink('/team/link', 'x.zip'), put('/a/b/1.jpg', NINE)],
      [NINE],
    );
    await share(metadata, '/team', bob);
    nowMs += DAY;
    await done(metadata, bob, [put('/team/from bob', FIVE), move('/team/x.zip', '/team/y.zip')], [FIVE]);
    await done(metadata, alice, [remove('/old')]);

    const { changesSinceMs, ...all } = await statistics.report(alice, '/');
    assert.equal(changesSinceMs, nowMs - 30 * DAY);
    assert.deepEqual(all, {
      files: 4,
      folders: 4,
      symlinks: 1,
      bytes: 9 + 9 + 9 + 5,
      kinds: [
        { kind: 'image', files: 2, bytes: 18 },
        { kind: 'archive', files: 1, bytes: 9 },
        { kind: 'other', files: 1, bytes: 5 },
      ],
      days: [
        { day: '2026-02-01', changes: 5 },
        { day: '2026-02-02', changes: 3 },
      ],
      busiest: [
        { path: '/team', changes: 4 },
        { path: '/', changes: 3 },
        { path: '/a/b', changes: 1 },
      ],
    });
    const below = await statistics.report(alice, '/a/');
    assert.deepEqual([below.files, below.folders, below.bytes], [2, 1, 18]);
    assert.deepEqual(below.busiest, [{ path: '/a/b', changes: 1 }]);
    const bobs = await statistics.report(bob, '/');
    assert.deepEqual([bobs.files, bobs.folders, bobs.symlinks, bobs.bytes], [2, 1, 1, 14]);
    assert.deepEqual(bobs.days, [{ day: '2026-02-02', changes: 2 }]);
    await share(metadata, '/team', carol);
    assert.deepEqual((await statistics.report(carol, '/')).days, [], 'what was done before she joined is not told');
    for (const path of ['/a', '/nothing']) await assert.rejects(statistics.report(bob, path), { code: 'not_found' });
    await assert.rejects(statistics.report(alice, '/team/y.zip'), { code: 'not_a_folder' });
  });
}
