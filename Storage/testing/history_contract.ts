import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Operation } from '../../Models/operations.ts';
import type { History, HistoryPage, HistoryQuery } from '../history.ts';
import type { Metadata, Principal } from '../metadata.ts';
import { openFollower } from './feed_follower.ts';
import { contractOfGoingBack } from './history_contract_back.ts';
import { contractOfKeeping } from './history_contract_keep.ts';
import { contractByReplay } from './history_contract_model.ts';
import type { OpenHistory } from './history_fixture.ts';
import {
  alice,
  allChanges,
  bob,
  carol,
  contentOf,
  done,
  listing,
  mkdir,
  move,
  nodeAt,
  put,
  remove,
  share,
  symlink,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const many = contentOf('part 1', 'part 2');

/** All rows of a listing, in pages of two. */
async function all<Row>(list: (query: HistoryQuery) => Promise<HistoryPage<Row>>, path: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after: string | null = null; ; ) {
    const page: HistoryPage<Row> = await list({ path, after, limit: 2 });
    assert.ok(page.rows.length <= 2);
    rows.push(...page.rows);
    after = page.next;
    if (after === null) return rows;
  }
}

type Reader = { readonly history: History; readonly who: Principal };
const versionsOf = ({ history, who }: Reader, path: string) => all((query) => history.versions(who, query), path);
const deedsOf = ({ history, who }: Reader, path: string) => all((query) => history.deeds(who, query), path);
const trashOf = ({ history, who }: Reader, path = '/') => all((query) => history.trash(who, query), path);

/** As the route does it. */
async function restore({ metadata, history }: { metadata: Metadata; history: History }, path: string, version: number): Promise<void> {
  const { size, mtimeUs, mode, digest, chunks } = await history.version(alice, path, version);
  const operation: Operation = { kind: 'put', path, size, mtimeUs, mode, base: 'any', digest, chunks };
  await done(metadata, alice, [operation]);
}

/** What every implementation of the history port must do. */
export function historyContract(name: string, open: OpenHistory): void {
  describe(`history on ${name}`, () => {
    contractOfVersions(open);
    contractOfDeeds(open);
    contractOfTrash(open);
    contractOfSharedPast(open);
    contractOfGoingBack(open);
    contractOfKeeping(open);
    contractByReplay(open);
  });
}

function contractOfVersions(open: OpenHistory): void {
  test('a file has the contents that it had, each once, the newest first, whatever its name was', async (t) => {
    const { metadata, history } = await open(t);
    const made: number[] = [];
    for (const content of [one, many, one, two]) {
      const [result] = await done(metadata, alice, [put('/f', content)], [content]);
      made.unshift(result?.version ?? 0);
    }
    await done(metadata, alice, [move('/f', '/g'), put('/g', two, { mtimeUs: 7 })]);
    const versions = await versionsOf({ history, who: alice }, '/g');
    assert.deepEqual(
      versions.map(({ version }) => version),
      made,
    );
    assert.deepEqual(
      versions.map(({ path, current, user, kind }) => [path, current, user, kind]),
      made.map((_, i) => ['/f', i === 0, 'alice', 'file']),
    );
    const older = await history.version(alice, '/g', made[2] ?? 0);
    assert.deepEqual(
      older.chunks,
      many.chunks.map(({ ref }) => ref),
    );
    assert.deepEqual(
      (await history.version(alice, '/g', made[3] ?? 0)).chunks,
      one.chunks.map(({ ref }) => ref),
    );
  });

  test('a version that is of something else, or of nobody here, does not exist', async (t) => {
    const { metadata, history } = await open(t);
    const [f, g] = await done(metadata, alice, [put('/f', one), put('/g', two), mkdir('/d')], [one, two]);
    for (const version of [g?.version ?? 0, 99, 0, -1, 0.5, Number.MAX_SAFE_INTEGER]) {
      await assert.rejects(history.version(alice, '/f', version), { code: 'not_found' }, String(version));
    }
    await assert.rejects(history.version(alice, '/d', 3), { code: 'not_a_file' });
    await assert.rejects(history.versions(alice, { path: '/d', after: null, limit: 9 }), { code: 'not_a_file' });
    for (const ask of [history.version(bob, '/f', f?.version ?? 0), history.versions(bob, { path: '/f', after: null, limit: 9 })]) {
      await assert.rejects(ask, { code: 'not_found' });
    }
    for (const after of ['x', '1', '1.2.3', `${'9'.repeat(30)}.1`, `1.${g?.version}`]) {
      await assert.rejects(history.versions(alice, { path: '/f', after, limit: 9 }), { code: 'cursor_invalid' }, after);
    }
  });

  test('an older version becomes the newest, and what was the newest stays one', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    const [first] = await done(metadata, alice, [put('/f', many)], [many]);
    await done(metadata, alice, [put('/f', two)], [two]);
    await restore(place, '/f', first?.version ?? 0);
    const [manifest] = await metadata.manifests(alice, ['/f']);
    assert.deepEqual(
      manifest?.chunks,
      many.chunks.map(({ ref }) => ref),
    );
    const versions = await versionsOf({ history, who: alice }, '/f');
    assert.deepEqual(
      versions.map(({ digest }) => digest),
      [many.digest, two.digest, many.digest],
    );
  });

  test('a symlink has versions too, and a file that was one', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [symlink('/s', 'a'), symlink('/s', 'b'), put('/s', one)], [one]);
    const versions = await versionsOf({ history, who: alice }, '/s');
    assert.deepEqual(
      versions.map(({ kind, target }) => [kind, target]),
      [
        ['file', null],
        ['symlink', 'b'],
        ['symlink', 'a'],
      ],
    );
    assert.deepEqual((await history.version(alice, '/s', versions[2]?.version ?? 0)).chunks, []);
  });
}

function contractOfDeeds(open: OpenHistory): void {
  test('who made, changed, moved and removed it is told, also when it is gone', async (t) => {
    const { metadata, history, clock } = await open(t);
    await done(metadata, alice, [mkdir('/d'), put('/d/f', one)], [one]);
    clock.ms += 1000;
    await done(metadata, alice, [move('/d/f', '/d/g')]);
    await done(metadata, alice, [put('/d/g', two)], [two]);
    const reader = { history, who: alice };
    assert.deepEqual(
      (await deedsOf(reader, '/d/g')).map(({ kind, path, fromPath }) => [kind, path, fromPath]),
      [
        ['put', '/d/g', null],
        ['move', '/d/g', '/d/f'],
        ['put', '/d/f', null],
      ],
    );
    await done(metadata, alice, [remove('/d')]);
    const deeds = await deedsOf(reader, '/d/g');
    assert.deepEqual(
      deeds.map(({ kind, path }) => [kind, path]),
      [
        ['delete', '/d'],
        ['put', '/d/g'],
        ['move', '/d/g'],
        ['put', '/d/f'],
      ],
    );
    assert.deepEqual(
      deeds.map(({ user, device }) => [user, device]),
      deeds.map(() => ['alice', alice.deviceId]),
    );
    assert.ok((deeds[0]?.atMs ?? 0) > (deeds[3]?.atMs ?? 0));
    assert.match(deeds[0]?.operation ?? '', /^[0-9a-f]{32}$/);
    await assert.rejects(history.deeds(alice, { path: '/d/f', after: null, limit: 9 }), { code: 'not_found' });
    await assert.rejects(history.deeds(bob, { path: '/d/g', after: null, limit: 9 }), { code: 'not_found' });
  });

  test('a copy has no past, and a name that was used twice tells of the last', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/f', one), put('/f', two), { kind: 'copy', from: '/f', to: '/c' }], [one, two]);
    const reader = { history, who: alice };
    assert.deepEqual(
      (await deedsOf(reader, '/c')).map(({ kind }) => kind),
      ['copy'],
    );
    await done(metadata, alice, [remove('/f')]);
    await done(metadata, alice, [put('/f', many)], [many]);
    assert.deepEqual(
      (await deedsOf(reader, '/f')).map(({ kind }) => kind),
      ['put'],
    );
    await done(metadata, alice, [remove('/f')]);
    assert.deepEqual(
      (await deedsOf(reader, '/f')).map(({ kind }) => kind),
      ['delete', 'put'],
    );
  });
}

function contractOfTrash(open: OpenHistory): void {
  test('what was deleted is in the trash, a folder as one, until it is brought back as it was', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/d/e/f', many), put('/d/g', one), put('/h', two)], [many, one, two]);
    const before = await listing(metadata, alice);
    const follower = openFollower(metadata, alice, '/');
    await follower.check();
    await done(metadata, alice, [remove('/d/g'), remove('/d'), remove('/h')]);
    await follower.check();
    const reader = { history, who: alice };
    assert.deepEqual(
      (await trashOf(reader)).map(({ path, kind }) => [path, kind]),
      [
        ['/h', 'file'],
        ['/d', 'folder'],
        ['/d/g', 'file'],
      ],
    );
    assert.deepEqual(
      (await trashOf(reader, '/d')).map(({ path }) => path),
      ['/d', '/d/g'],
    );
    assert.deepEqual(await trashOf({ history, who: bob }), []);
    await assert.rejects(history.undelete(alice, '/d/g', null), { code: 'not_found' }); // its folder is gone
    assert.equal((await history.undelete(alice, '/d', null)).path, '/d');
    await follower.check();
    assert.equal((await history.undelete(alice, '/d/g', null)).path, '/d/g');
    assert.equal((await history.undelete(alice, '/h', null)).path, '/h');
    await follower.check();
    assert.deepEqual(await listing(metadata, alice), before);
    assert.deepEqual(await trashOf(reader), []);
    const [manifest] = await metadata.manifests(alice, ['/d/e/f']);
    assert.deepEqual(
      manifest?.chunks,
      many.chunks.map(({ ref }) => ref),
    );
    const { changes } = await allChanges(metadata, alice);
    assert.deepEqual(
      changes.slice(-3).map(({ kind, path }) => [kind, path]),
      [
        ['restore', '/d'],
        ['restore', '/d/g'],
        ['restore', '/h'],
      ],
    );
  });

  test('a folder that came back in another one and was moved out of that is listed to who hears of both at once', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/d/e/f', one), mkdir('/other')], [one]);
    const follower = openFollower(metadata, alice, '/');
    await done(metadata, alice, [remove('/d')]);
    await follower.check(); // knows nothing of what is in it
    await history.undelete(alice, '/d', null);
    await done(metadata, alice, [move('/d/e', '/other/e')]);
    await follower.check();
  });

  test('a file of several chunks comes back with them, and is the node that it was', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/f', many)], [many]);
    const id = await nodeAt(metadata, alice, '/f');
    await done(metadata, alice, [remove('/f')]);
    await history.undelete(alice, `@${id}`, '/g');
    assert.equal(await nodeAt(metadata, alice, '/g'), id);
    const [manifest] = await metadata.manifests(alice, ['/g']);
    assert.deepEqual(
      manifest?.chunks,
      many.chunks.map(({ ref }) => ref),
    );
    assert.deepEqual(
      (await deedsOf({ history, who: alice }, '/g')).map(({ kind, fromPath }) => [kind, fromPath]),
      [
        ['restore', '/f'],
        ['delete', null],
        ['put', null],
      ],
    );
  });

  test('nothing is brought back over something else, twice, by strangers, or to where nothing can be', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/d/f', one), put('/x', two)], [one, two]);
    await done(metadata, alice, [remove('/d/f')]);
    const [item] = await trashOf({ history, who: alice });
    const what = `@${item?.nodeId}`;
    await assert.rejects(history.undelete(bob, what, '/f'), { code: 'not_found' });
    await assert.rejects(history.undelete(bob, '/d/f', null), { code: 'not_found' });
    await assert.rejects(history.undelete(alice, what, '/x'), { code: 'already_exists' });
    await assert.rejects(history.undelete(alice, what, '/X'), { code: 'name_collides' });
    await assert.rejects(history.undelete(alice, what, '/x/y'), { code: 'not_a_folder' });
    await assert.rejects(history.undelete(alice, what, '/no/y'), { code: 'not_found' });
    await assert.rejects(history.undelete(alice, what, '/'), { code: 'already_exists' });
    await assert.rejects(history.undelete(alice, '@987654', null), { code: 'not_found' });
    await assert.rejects(history.undelete(alice, '/x', null), { code: 'already_exists' }); // it is not deleted
    await done(metadata, alice, [put('/d/f', two)], [two]);
    await assert.rejects(history.undelete(alice, what, null), { code: 'already_exists' });
    await history.undelete(alice, what, '/d/g');
    await assert.rejects(history.undelete(alice, what, '/d/h'), { code: 'already_exists' });
    assert.deepEqual(
      (await listing(metadata, alice)).map((line) => line.split(' ')[0]),
      ['/d', '/d/f', '/d/g', '/x'],
    );
  });

  test('one thing comes out of a deleted folder to somewhere else', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/d/e/f', many), put('/d/g', one)], [many, one]);
    await done(metadata, alice, [remove('/d')]);
    await assert.rejects(history.undelete(alice, '/d/e', null), { code: 'not_found' });
    await history.undelete(alice, '/d/e', '/e');
    assert.deepEqual(
      (await listing(metadata, alice)).map((line) => line.split(' ')[0]),
      ['/e', '/e/f'],
    );
    await history.undelete(alice, '/d', null);
    assert.deepEqual(
      (await listing(metadata, alice)).map((line) => line.split(' ')[0]),
      ['/d', '/d/g', '/e', '/e/f'],
    );
  });
}

function contractOfSharedPast(open: OpenHistory): void {
  test('who joins is not told what was before; the owner is', async (t) => {
    const { metadata, history } = await open(t);
    const [first] = await done(metadata, alice, [put('/team/f', one), put('/team/secret', two)], [one, two]);
    await done(metadata, alice, [put('/team/f', many)], [many]);
    await done(metadata, alice, [remove('/team/secret')]);
    await share(metadata, '/team', bob, 'viewer');
    const [joined] = await done(metadata, alice, [put('/team/f', two)], [two]);
    const reader = { history, who: bob };
    assert.deepEqual(
      (await versionsOf(reader, '/team/f')).map(({ digest }) => digest),
      [two.digest],
    );
    assert.equal((await history.version(bob, '/team/f', joined?.version ?? 0)).current, true);
    await assert.rejects(history.version(bob, '/team/f', first?.version ?? 0), { code: 'not_found' });
    assert.deepEqual(
      (await deedsOf(reader, '/team/f')).map(({ kind }) => kind),
      ['put'],
    );
    assert.deepEqual(await trashOf(reader), []);
    await assert.rejects(history.deeds(bob, { path: '/team/secret', after: null, limit: 9 }), { code: 'not_found' });
    const owners = { history, who: alice };
    assert.deepEqual(
      (await versionsOf(owners, '/team/f')).map(({ digest }) => digest),
      [two.digest, many.digest, one.digest],
    );
    assert.deepEqual((await history.version(alice, '/team/f', first?.version ?? 0)).digest, one.digest);
    await done(metadata, alice, [put('/team/f', one)]); // a version from before it was shared, made the newest
  });

  test('what was deleted in a folder is in the trash of that folder, also when that or one above is called another name since', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/a/b/c/f', one), put('/a/b/g', two), put('/a/h', one)], [one, two]);
    await done(metadata, alice, [
      remove('/a/b/c'),
      remove('/a/b/g'),
      remove('/a/h'),
      move('/a/b', '/a/new'),
      move('/a', '/z'),
      mkdir('/a'),
    ]);
    const trash = async (path: string): Promise<string[]> => (await trashOf({ history, who: alice }, path)).map((item) => item.path);
    assert.deepEqual(await trash('/z/new'), ['/a/b/g', '/a/b/c']);
    assert.deepEqual(await trash('/z'), ['/a/h', '/a/b/g', '/a/b/c']);
    assert.deepEqual(await trash('/a'), ['/a/h', '/a/b/g', '/a/b/c'], 'as they were called then');
    assert.deepEqual(await trash('/z/none'), []);
  });

  test('a viewer sees the trash of a shared folder and changes nothing; an editor brings back', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/team/d/f', many), put('/team/g', one)], [many, one]);
    await share(metadata, '/team', bob, 'viewer');
    await share(metadata, '/team', carol, 'editor');
    await done(metadata, carol, [mkdir('/mine'), remove('/team/d'), remove('/team/g')]);
    const [item, folder] = await trashOf({ history, who: bob });
    assert.deepEqual([item?.path, item?.user, folder?.path], ['/team/g', 'carol', '/team/d']);
    await assert.rejects(history.undelete(bob, '/team/g', null), { code: 'forbidden' });
    await history.undelete(bob, '/team/g', '/copy'); // what they may read they may copy
    await history.undelete(bob, '/team/d', '/copies');
    assert.deepEqual(
      (await listing(metadata, bob)).map((line) => line.split(' ')[0]),
      ['/copies', '/copies/f', '/copy', '/team'],
    );
    const [manifest] = await metadata.manifests(bob, ['/copies/f']);
    assert.deepEqual(
      manifest?.chunks,
      many.chunks.map(({ ref }) => ref),
    );
    await history.undelete(carol, '/team/g', null);
    assert.ok((await metadata.stat(alice, ['/team/g']))[0] !== null);
  });

  test('the owner brings a deleted shared folder back, with all that was in it and nobody else in it', async (t) => {
    const { metadata, history } = await open(t);
    await done(metadata, alice, [put('/team/f', one)], [one]);
    await share(metadata, '/team', bob);
    await done(metadata, alice, [remove('/team')]);
    assert.deepEqual(await trashOf({ history, who: bob }), []);
    const [item] = await trashOf({ history, who: alice });
    assert.deepEqual([item?.path, item?.kind], ['/team', 'folder']);
    const follower = openFollower(metadata, alice, '/');
    await follower.check();
    await history.undelete(alice, `@${item?.nodeId}`, null);
    await follower.check();
    assert.deepEqual(
      (await listing(metadata, alice)).map((line) => line.split(' ')[0]),
      ['/team', '/team/f'],
    );
    assert.deepEqual(await listing(metadata, bob), []);
    assert.deepEqual(
      (await metadata.members(alice, '/team')).map(({ user }) => user),
      ['alice'],
    );
  });
}
