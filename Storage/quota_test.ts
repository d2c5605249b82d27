import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { openServerStore, type ServerStore } from './server_store.ts';
import { newDatabases } from './testing/databases.ts';
import {
  alice,
  allChanges,
  bob,
  carol,
  commit,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  put,
  remove,
  share,
  symlink,
  words,
} from './testing/metadata_fixture.ts';

const ofBytes = (size: number, letter = 'x') => contentOf(letter.repeat(size));
const [TEN, THIRTY, FORTY] = [ofBytes(10), ofBytes(30), ofBytes(40)];

async function live({ quotas }: ServerStore, who: typeof alice): Promise<number> {
  return (await quotas.usage(who)).liveBytes;
}

for (const [name, addressFor] of newDatabases()) {
  const open = async (t: TestContext): Promise<ServerStore> => {
    const store = await openServerStore(await addressFor(t));
    t.after(() => store.close());
    return store;
  };

  test(`first limits are set only where nothing was set before, on ${name}`, async (t) => {
    const { quotas } = await open(t);
    const nothing = { quotaBytes: null, fileBytes: null, allowed: null, refused: null };
    await quotas.setFirstLimits(alice.userId, { quotaBytes: 100 });
    await quotas.setFirstLimits(alice.userId, { quotaBytes: 200 });
    assert.deepEqual(await quotas.limits(alice.userId), { ...nothing, quotaBytes: 100 });
    await quotas.setLimits(bob.userId, { quotaBytes: 'none' });
    await quotas.setFirstLimits(bob.userId, { quotaBytes: 100 });
    assert.deepEqual(await quotas.limits(bob.userId), { ...nothing, quotaBytes: 'none' });
  });

  test(`what would cross the quota is refused with figures, what does not is done, on ${name}`, async (t) => {
    const store = await open(t);
    const { metadata, quotas } = store;
    await quotas.setLimits(alice.userId, { quotaBytes: 100 });
    const results = await commit(
      metadata,
      alice,
      [put('/a', FORTY), put('/b', FORTY), put('/c', THIRTY), put('/d', TEN)],
      [FORTY, THIRTY, TEN],
    );
    assert.deepEqual(words(results), ['done', 'done', 'quota_exceeded', 'done']);
    const [, , refused] = results;
    assert.equal(refused?.status === 'refused' && refused.message, 'needs 30 B, 20 B left of the 100 B of alice');
    assert.equal(await live(store, alice), 90);
    assert.deepEqual(
      words(await commit(metadata, alice, [put('/a', THIRTY), put('/c', ofBytes(20))], [THIRTY, ofBytes(20)])),
      ['done', 'done'],
      'what is replaced makes room',
    );
    assert.equal(await live(store, alice), 100);
    const full = [
      put('/d', ofBytes(11)),
      put('/e', ofBytes(1)),
      mkdir('/f'),
      put('/g', contentOf()),
      symlink('/h', 'a'),
      move('/a', '/f/a'),
    ];
    assert.deepEqual(words(await commit(metadata, alice, full, [ofBytes(11), ofBytes(1)])), [
      'quota_exceeded',
      'quota_exceeded',
      'done',
      'done',
      'done',
      'done',
    ]);
    assert.deepEqual(words(await commit(metadata, alice, [copy('/d', '/f/d'), remove('/b'), copy('/f', '/copy')])), [
      'quota_exceeded',
      'done',
      'done',
    ]);
    assert.equal(await live(store, alice), 90);
    await quotas.setLimits(alice.userId, { quotaBytes: 0 });
    assert.deepEqual(
      words(await commit(metadata, alice, [put('/d', ofBytes(9)), put('/z', contentOf('z'))], [ofBytes(9), contentOf('z')])),
      ['done', 'quota_exceeded'],
      'smaller goes, whatever the quota',
    );
    await quotas.setLimits(alice.userId, { quotaBytes: 'none' });
    await done(metadata, alice, [put('/z', ofBytes(500))], [ofBytes(500)]);
  });

  test(`the owner of a shared folder pays for what guests put there, on ${name}`, async (t) => {
    const store = await open(t);
    const { metadata, quotas } = store;
    await quotas.setLimits(null, { quotaBytes: 100 });
    await quotas.setLimits(carol.userId, { quotaBytes: 'none' });
    await done(metadata, alice, [mkdir('/team'), put('/team/a', FORTY)], [FORTY]);
    await share(metadata, '/team', bob);
    await done(metadata, bob, [put('/team/b', FORTY), put('/own', FORTY)], [FORTY]);
    const over = await commit(metadata, bob, [put('/team/c', THIRTY), move('/own', '/team/own')], [THIRTY]);
    assert.deepEqual(
      over.map((result) => result.status === 'refused' && [result.code, result.message]),
      [
        ['quota_exceeded', 'needs 30 B, and alice has no room for that'], // neither how much there is nor how much is left
        ['quota_exceeded', 'needs 40 B, and alice has no room for that'],
      ],
    );
    assert.deepEqual([await live(store, alice), await live(store, bob), (await quotas.usage(bob)).sharedBytes], [80, 40, 80]);
    await done(metadata, bob, [move('/team/b', '/mine')]);
    assert.deepEqual([await live(store, alice), await live(store, bob)], [40, 80]);
    await share(metadata, '/team', carol);
    assert.deepEqual(
      words(await commit(metadata, carol, [put('/team/d', ofBytes(61)), put('/big', ofBytes(300))], [ofBytes(61), ofBytes(300)])),
      ['quota_exceeded', 'done'],
    );
  });

  test(`two who write at once do not cross the quota together, on ${name}`, async (t) => {
    const store = await open(t);
    const { metadata, quotas } = store;
    await done(metadata, alice, [mkdir('/team'), mkdir('/other')]);
    await share(metadata, '/team', bob);
    await share(metadata, '/other', carol);
    await quotas.setLimits(alice.userId, { quotaBytes: 100 });
    const writers = [alice, bob, carol].flatMap((who) =>
      Array.from({ length: 6 }, (_, i) => {
        const folder = who === alice ? '' : who === bob ? '/team' : '/other';
        const content = contentOf(`${who.userName} ${i}`.padEnd(30));
        return commit(metadata, who, [put(`${folder}/${i}`, content)], [content]);
      }),
    );
    const results = (await Promise.all(writers)).flatMap(words).sort();
    assert.deepEqual(results, [...Array(3).fill('done'), ...Array(15).fill('quota_exceeded')]);
    assert.equal(await live(store, alice), 90);
  });

  test(`what is brought back needs room too, on ${name}`, async (t) => {
    const store = await open(t);
    const { metadata, quotas, history } = store;
    await quotas.setLimits(alice.userId, { quotaBytes: 100 });
    await done(metadata, alice, [mkdir('/f'), put('/f/a', FORTY), put('/f/b', THIRTY)], [FORTY, THIRTY]);
    await done(metadata, alice, [remove('/f')]);
    await done(metadata, alice, [put('/c', FORTY)], [FORTY]);
    await assert.rejects(history.undelete(alice, '/f', null), {
      code: 'quota_exceeded',
      message: 'needs 70 B, 60 B left of the 100 B of alice',
    });
    assert.deepEqual(await listing(metadata, alice).then((lines) => lines.length), 1);
    await done(metadata, alice, [remove('/c')]);
    await history.undelete(alice, '/f', null);
    const { liveBytes, versionsBytes, trashBytes } = await quotas.usage(alice);
    assert.deepEqual([liveBytes, versionsBytes, trashBytes], [70, 0, 40]);
  });

  test(`live, replaced and deleted bytes are told apart, in shared folders too, on ${name}`, async (t) => {
    const { metadata, quotas } = await open(t);
    const contents = [TEN, THIRTY, FORTY];
    await done(metadata, alice, [put('/f', TEN), put('/f', THIRTY), move('/f', '/g'), put('/d/x', FORTY), put('/team/y', TEN)], contents);
    await share(metadata, '/team', bob);
    await done(metadata, alice, [put('/team/y', FORTY), remove('/d'), put('/g', THIRTY, { mtimeUs: 7 })], contents);
    const { quotaBytes, ...bytes } = await quotas.usage(alice);
    assert.deepEqual([quotaBytes, bytes], [null, { liveBytes: 70, versionsBytes: 20, trashBytes: 40, sharedBytes: 0 }]);
    assert.deepEqual(
      await quotas.usage(bob),
      { quotaBytes: null, liveBytes: 0, versionsBytes: 0, trashBytes: 0, sharedBytes: 40 },
      'what others own is theirs',
    );
  });

  test(`the owner is warned once at 80 and once at 95 percent, and again after there was room, on ${name}`, async (t) => {
    const store = await open(t);
    const { metadata, quotas } = store;
    await done(metadata, alice, [mkdir('/team')]);
    await share(metadata, '/team', bob);
    await quotas.setLimits(alice.userId, { quotaBytes: 1000 });
    const sized = async (who: typeof alice, size: number): Promise<void> => {
      const content = ofBytes(size);
      await done(metadata, who, [put('/team/a', content)], [content]);
    };
    for (const size of [799, 800, 900, 949]) await sized(bob, size);
    for (const size of [950, 1000, 850, 700, 801]) await sized(alice, size);
    const { changes } = await allChanges(metadata, alice);
    const warnings = changes.flatMap(({ kind, details }) => (kind === 'quota' ? [details] : []));
    assert.deepEqual(warnings, [
      { percent: 80, used: 800, quota: 1000 },
      { percent: 95, used: 950, quota: 1000 },
      { percent: 80, used: 801, quota: 1000 },
    ]);
    const theirs = await allChanges(metadata, bob);
    assert.ok(theirs.changes.every(({ kind }) => kind !== 'quota'));
  });

  test(`sizes and kinds that are not allowed are refused, on the server and for one user, on ${name}`, async (t) => {
    const { metadata, quotas } = await open(t);
    await quotas.setLimits(null, { fileBytes: 35, refused: ['exe', 'video'] });
    await quotas.setLimits(bob.userId, { allowed: ['image', 'txt'], fileBytes: 'none' });
    const tried = async (who: typeof alice, ...paths: string[]): Promise<string[]> =>
      words(
        await commit(
          metadata,
          who,
          paths.map((path) => put(path, TEN)),
          [TEN],
        ),
      );
    assert.deepEqual(await tried(alice, '/a.txt', '/a.EXE', '/a.mov', '/exe', '/a.exe.txt'), [
      'done',
      'type_refused',
      'type_refused',
      'type_refused',
      'done',
    ]);
    assert.deepEqual(await tried(bob, '/a.txt', '/a.JPG', '/a.pdf', '/a'), ['done', 'done', 'type_refused', 'type_refused']);
    assert.deepEqual(
      words(
        await commit(
          metadata,
          alice,
          [put('/b', FORTY), move('/a.txt', '/a.exe'), copy('/a.txt', '/c.mp4'), move('/a.txt', '/c.md')],
          [FORTY],
        ),
      ),
      ['too_large', 'type_refused', 'type_refused', 'done'],
    );
    await done(metadata, bob, [put('/b.txt', FORTY)], [FORTY]);
    assert.deepEqual(await quotas.limits(bob.userId), { quotaBytes: null, fileBytes: 'none', allowed: ['image', 'txt'], refused: null });
    assert.deepEqual(await quotas.limits(null), { quotaBytes: null, fileBytes: 35, allowed: null, refused: ['exe', 'video'] });
  });

  test(`after whatever was done the figures are those of counting anew, on ${name}`, async (t) => {
    const seed = testSeed('quota');
    t.diagnostic(`seed ${seed}`);
    const next = seededRandom(seed);
    const random = (below: number): number => Math.floor(next() * below);
    const store = await open(t);
    const { metadata, quotas, history } = store;
    await quotas.setLimits(null, { quotaBytes: 1_000_000 });
    await done(metadata, alice, [mkdir('/team'), mkdir('/d')]);
    await share(metadata, '/team', bob);
    const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
    const name = (): string => pick(['a', 'b', 'c']);
    for (let round = 0; round < 60; round += 1) {
      const who = pick([alice, bob]);
      const paths = (await listing(metadata, who)).map((line) => line.split(' ')[0] as string);
      const folders = [
        '',
        ...(await listing(metadata, who)).flatMap((line) => (line.endsWith(' folder') ? [line.split(' ')[0] as string] : [])),
      ];
      const contents = Array.from({ length: 3 }, () => ofBytes(1 + random(50), pick(['x', 'y'])));
      const operations = Array.from({ length: 1 + random(6) }, () => {
        switch (random(6)) {
          case 0:
            return remove(pick([...paths, '/a']));
          case 1:
            return move(pick([...paths, '/a']), `${pick(folders)}/${name()}`);
          case 2:
            return copy(pick([...paths, '/a']), `${pick(folders)}/${name()}`);
          case 3:
            return mkdir(`${pick(folders)}/${name()}`);
          default:
            return put(`${pick(folders)}/${name()}`, pick(contents));
        }
      });
      await commit(metadata, who, operations, contents);
      if (random(4) === 0) {
        const { rows } = await history.trash(who, { path: '/', after: null, limit: 10 });
        if (rows.length > 0) await history.undelete(who, `@${pick(rows).nodeId}`, `/back${round}`).catch(() => undefined); // its folder may be gone too
      }
      for (const each of [alice, bob]) {
        const lines = await listing(metadata, each);
        const files = lines.flatMap((line) => (line.split(' ')[1] === 'file' ? [line.split(' ')[0] as string] : []));
        const entries = await metadata.stat(each, files);
        const inTeam = (
          await metadata.stat(
            each,
            lines.map((line) => line.split(' ')[0] as string),
          )
        ).flatMap((entry) => (entry?.shared == null ? [] : [entry.path]));
        const owned = entries.filter((entry) => each === alice || !inTeam.some((top) => entry?.path.startsWith(`${top}/`)));
        const expected = owned.reduce((sum, entry) => sum + (entry?.size ?? 0), 0);
        assert.equal(await live(store, each), expected, `${each.userName} after round ${round}`);
      }
    }
  });
}
