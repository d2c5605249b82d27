import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '../../Models/operations.ts';
import {
  alice,
  allChanges,
  bob,
  commit,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  nodeAt,
  type OpenPlace,
  put,
  remove,
  removeEmpty,
  share,
  symlink,
  words,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const digestOf = (content: { digest: Buffer }): string => content.digest.toString('hex').slice(0, 8);
const folder = (path: string, existingOk: boolean, mode: number | null, mtimeUs: number | null): Operation => ({
  kind: 'mkdir',
  path,
  existingOk,
  mode,
  mtimeUs,
});

export function contractOfAnchors(open: OpenPlace): void {
  test('an anchored path leads to the node wherever it is now', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/a/b/f', one), mkdir('/c')], [one, two]);
    const [a, b, f, root] = await Promise.all(['/a', '/a/b', '/a/b/f', '/'].map((path) => nodeAt(store, alice, path)));
    await done(store, alice, [move('/a', '/c/A'), move('/c/A/b', '/B')]);
    const found = await store.stat(alice, [`@${a}`, `@${b}/f`, `@${f}`, `@${root}`, `@${root}/B/f`, `@${a}/b`, `@${f}/x`]);
    assert.deepEqual(
      found.map((entry) => entry?.path ?? null),
      ['/c/A', '/B/f', '/B/f', '/', '/B/f', null, null],
    );
    assert.deepEqual(
      (await store.manifests(alice, [`@${f}`, `@${b}`])).map((manifest) => manifest?.path),
      ['/B/f', undefined],
    );
    const pages = await Array.fromAsync(store.readFolders(alice, [`@${b}`, '@987654', `@${root}/c`]));
    assert.deepEqual(
      pages.map(({ path, entries, last }) => [path, entries.map((entry) => entry.name), last]),
      [
        ['/B', ['f'], true],
        ['@987654', [], true],
        ['/c', ['A'], true],
      ],
    );
    await done(store, alice, [
      put(`@${f}`, two),
      put(`@${b}/g`, one),
      mkdir(`@${a}/x/y`),
      symlink(`@${a}/x/l`, 't'),
      copy(`@${b}`, `@${a}/b`),
    ]);
    await done(store, alice, [move(`@${f}`, `@${root}/f`), remove(`@${b}`)]);
    assert.deepEqual(await listing(store, alice), [
      '/c folder',
      '/c/A folder',
      '/c/A/b folder',
      `/c/A/b/f file ${digestOf(two)}`,
      `/c/A/b/g file ${digestOf(one)}`,
      '/c/A/x folder',
      '/c/A/x/l symlink t',
      '/c/A/x/y folder',
      `/f file ${digestOf(two)}`,
    ]);
  });

  test('an anchor that is deleted, below something deleted, or a stranger\u2019s is not found', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/a/b/f', one), mkdir('/gone')], [one]);
    await done(store, bob, [put('/mine/x', two)], [two]);
    const [b, f, gone] = await Promise.all(['/a/b', '/a/b/f', '/gone'].map((path) => nodeAt(store, alice, path)));
    const [strange, mine] = [await nodeAt(store, bob, '/mine'), await nodeAt(store, bob, '/')];
    await done(store, alice, [remove('/a'), remove('/gone')]);
    const before = await listing(store, alice);
    for (const id of [b, f, gone, strange, mine, 9_007_199_254_740_991]) {
      const tried = [
        put(`@${id}`, one),
        put(`@${id}/x`, one),
        symlink(`@${id}/x`, 'x'),
        mkdir(`@${id}/x/y`),
        mkdir(`@${id}`, true),
        remove(`@${id}`),
        move(`@${id}`, '/x'),
        copy(`@${id}`, '/x'),
      ];
      assert.deepEqual(
        words(await commit(store, alice, tried)),
        tried.map(() => 'not_found'),
        String(id),
      );
      assert.deepEqual(await store.stat(alice, [`@${id}`, `@${id}/x`]), [null, null]);
      assert.deepEqual(await store.manifests(alice, [`@${id}`]), [null]);
    }
    assert.deepEqual(await listing(store, alice), before);
    assert.deepEqual(words(await commit(store, alice, [put('@x', one), remove('@1/..')])), ['path_invalid', 'name_invalid']);
    await assert.rejects(store.stat(alice, ['@0']), { code: 'path_invalid' });
    for (const run of [store.members(alice, `@${gone}`), store.leave(alice, `@${gone}`)])
      await assert.rejects(run, { code: 'path_invalid' });
  });

  test('a user who has stored nothing reaches no node', async (t) => {
    const store = await (await open(t)).open();
    await done(store, bob, [mkdir('/x')]);
    const id = await nodeAt(store, bob, '/x');
    assert.deepEqual(await store.stat(alice, [`@${id}`]), [null]);
    assert.deepEqual(await store.manifests(alice, [`@${id}`]), [null]);
    assert.deepEqual(words(await commit(store, alice, [mkdir(`@${id}/y`), remove(`@${id}`)])), ['not_found', 'not_found']);
  });

  test('only mkdir makes folders on the way of an anchored path', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a'), put('/f', one)], [one]);
    const a = await nodeAt(store, alice, '/a');
    const tried = [
      put(`@${a}/x/f`, one),
      symlink(`@${a}/x/l`, 'l'),
      move('/f', `@${a}/x/f`),
      copy('/f', `@${a}/x/f`),
      mkdir(`@${a}/x/y/z`),
    ];
    assert.deepEqual(words(await commit(store, alice, tried)), ['not_found', 'not_found', 'not_found', 'not_found', 'done']);
    assert.deepEqual(words(await commit(store, alice, tried.slice(0, 3))), ['done', 'done', 'already_exists']);
  });

  test('anchors are looked for after what earlier operations of the batch moved and deleted', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a/b'), mkdir('/c')], [one, two]);
    const [a, b, c] = await Promise.all(['/a', '/a/b', '/c'].map((path) => nodeAt(store, alice, path)));
    const results = await commit(store, alice, [
      put(`@${b}/1`, one),
      move(`@${b}`, `@${c}/b`),
      put(`@${b}/2`, one),
      remove(`@${a}`),
      mkdir('/a/b'),
      put(`@${a}/3`, one),
      mkdir(`@${a}/d`),
      put('/a/b/4', one),
      put(`@${b}/5`, one),
      remove(`@${b}/1`),
      remove(`@${b}/1`),
    ]);
    assert.deepEqual(words(results), [
      ...['done', 'done', 'done', 'done', 'done', 'not_found', 'not_found', 'done', 'done', 'done', 'not_found'],
    ]);
    assert.deepEqual(await listing(store, alice), [
      '/a folder',
      '/a/b folder',
      `/a/b/4 file ${digestOf(one)}`,
      '/c folder',
      '/c/b folder',
      `/c/b/2 file ${digestOf(one)}`,
      `/c/b/5 file ${digestOf(one)}`,
    ]);
    const [again] = await done(store, alice, [put('/c/b/2', two)], [two]);
    const twice = await commit(store, alice, [remove('/c/b/2'), put('/c/b/2', one), put(`@${again?.nodeId}`, two)]);
    assert.deepEqual(words(twice), ['done', 'done', 'not_found'], 'another node has the path by then');
  });

  test('a resumed batch finds the anchors of what is still to be done', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a'), mkdir('/b')], [one]);
    const [a, b] = [await nodeAt(store, alice, '/a'), await nodeAt(store, alice, '/b')];
    const stream = { id: Buffer.alloc(16, 7), firstOperation: 0, resumed: true };
    const operations = [mkdir(`@${b}/x`), move(`@${a}`, `@${b}/a`), put(`@${a}/f`, one), put(`@${b}/g`, one)];
    const first = await store.commit(alice, stream, [], operations.slice(0, 2));
    const all = await store.commit(alice, stream, [], operations);
    assert.deepEqual(all.slice(0, 2), first);
    assert.deepEqual(words(all), ['done', 'done', 'done', 'done']);
  });

  test('the root of a shared folder is an anchor where each member has it', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/a/f', one), mkdir('/mine')], [one, two]);
    const [team, a] = [await nodeAt(store, alice, '/team'), await nodeAt(store, alice, '/team/a')];
    await share(store, '/team', bob);
    await done(store, bob, [mkdir('/work'), move('/team', '/work/ours')]);
    const root = await nodeAt(store, bob, '/');
    assert.deepEqual(
      (await store.stat(bob, [`@${team}`, `@${a}/f`, `@${root}/work/ours/a`])).map((entry) => entry?.path),
      ['/work/ours', '/work/ours/a/f', '/work/ours/a'],
    );
    await done(store, bob, [put(`@${team}/g`, two), move(`@${a}`, `@${team}/b`), put(`@${root}/work/ours/b/h`, two)], [two]);
    assert.deepEqual((await store.stat(alice, [`@${a}/h`]))[0]?.path, '/team/b/h');
    const both = [move(`@${team}`, `@${root}/again`), put(`@${team}/after`, two), remove(`@${team}`), put(`@${team}/late`, two)];
    assert.deepEqual(words(await commit(store, bob, both)), ['done', 'done', 'done', 'not_found']);
    assert.deepEqual(await store.stat(bob, [`@${team}`, `@${a}`]), [null, null]);
    assert.deepEqual((await store.stat(alice, [`@${team}/after`]))[0]?.path, '/team/after');
  });

  test('a move is based on a version of what is moved', async (t) => {
    const store = await (await open(t)).open();
    const [f] = await done(store, alice, [put('/f', one), mkdir('/d')], [one, two]);
    const stale = f?.version ?? 0;
    const [now] = await done(store, alice, [put('/f', two)]);
    const id = f?.nodeId;
    assert.deepEqual(words(await commit(store, alice, [move(`@${id}`, '/g', stale), move(`@${id}`, '/g', 'absent')])), [
      'version_stale',
      'version_stale',
    ]);
    assert.deepEqual(words(await commit(store, alice, [move(`@${id}`, '/f', stale)])), ['unchanged']);
    const [moved] = await done(store, alice, [move(`@${id}`, '/g', now?.version)]);
    assert.deepEqual(words(await commit(store, alice, [move(`@${id}`, '/h', now?.version), move(`@${id}`, '/h', moved?.version)])), [
      'version_stale',
      'done',
    ]);
  });

  test('what is mounted is based on the version of its place or of its root', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team/x')]);
    await share(store, '/team', bob);
    const [moved] = await done(store, bob, [move('/team', '/one')]);
    const root = (await store.stat(bob, ['/one']))[0];
    assert.deepEqual(words(await commit(store, bob, [move('/one', '/two', 99_999), move('/one', '/two', moved?.version)])), [
      'version_stale',
      'done',
    ]);
    const tries = [move('/two', '/three', root?.version), remove('/three', 99_999), removeEmpty('/three'), remove('/three', root?.version)];
    assert.deepEqual(words(await commit(store, bob, tries)), ['done', 'version_stale', 'not_empty', 'done']);
  });

  test('a folder that is deleted only if it is empty is kept while anything is in it', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/a/b/f', one), mkdir('/e'), put('/g', one), symlink('/l', 'x')], [one, two]);
    const tries = [
      removeEmpty('/a'),
      removeEmpty('/a/b'),
      remove('/a/b/f'),
      put('/a/b/f', two),
      removeEmpty('/a/b'),
      remove('/a/b/f'),
      removeEmpty('/a/b'),
      removeEmpty('/a'),
      removeEmpty('/e'),
      removeEmpty('/g'),
      removeEmpty('/l'),
      mkdir('/n'),
      put('/n/f', one),
      removeEmpty('/n'),
      remove('/n/f'),
      removeEmpty('/n'),
    ];
    const expected = ['not_empty', 'not_empty', 'done', 'done', 'not_empty', ...Array(8).fill('done'), 'not_empty', 'done', 'done'];
    assert.deepEqual(words(await commit(store, alice, tries)), expected);
    assert.deepEqual(await listing(store, alice), []);
    await done(store, alice, [put('/a/f', one), mkdir('/b'), mkdir('/c')]);
    const [a, b] = [await nodeAt(store, alice, '/a'), await nodeAt(store, alice, '/b')];
    const mixed = [
      put(`@${b}/x`, one),
      move('/a/f', '/c/f'),
      removeEmpty(`@${a}`),
      removeEmpty(`@${b}`),
      move('/c/f', '/f'),
      removeEmpty('/c'),
    ];
    assert.deepEqual(words(await commit(store, alice, mixed)), ['done', 'done', 'done', 'not_empty', 'done', 'done']);
  });

  test('a folder is made with a mode and a time, and an existing one gets them', async (t) => {
    const store = await (await open(t)).open({ now: () => 1000 });
    const attributes = async (path: string): Promise<unknown[]> => {
      const [entry] = await store.stat(alice, [path]);
      return [entry?.mode, entry?.mtimeUs, entry?.version];
    };
    await done(store, alice, [folder('/a/b', false, 0o700, -5)]);
    assert.deepEqual(await attributes('/a'), [0o755, 1_000_000, 1]);
    assert.deepEqual(await attributes('/a/b'), [0o700, -5, 2]);
    const { cursor } = await allChanges(store, alice);
    const results = await commit(store, alice, [
      folder('/a/b', true, 0o700, -5),
      folder('/a/b', true, null, null),
      folder('/a/b', false, 0o711, null),
      folder('/a/b', true, 0o1000, null),
      folder('/a/b', true, null, 0.5),
      folder('/a/b', true, 0o711, null),
      folder('/', true, null, 7),
    ]);
    assert.deepEqual(words(results), ['unchanged', 'unchanged', 'already_exists', 'request_invalid', 'request_invalid', 'done', 'done']);
    assert.deepEqual(await attributes('/a/b'), [0o711, -5, 3]);
    assert.deepEqual(await attributes('/'), [0o755, 7, 4]);
    const { changes } = await allChanges(store, alice, cursor);
    assert.deepEqual(
      changes.map(({ kind, path, version }) => [kind, path, version]),
      [
        ['attributes', '/a/b', 3],
        ['attributes', '/', 4],
      ],
    );
  });

  test('the attributes of a shared folder are those of all its members, and a viewer cannot set them', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob, 'viewer');
    assert.deepEqual(words(await commit(store, bob, [folder('/team', true, 0o700, 1), mkdir('/team', true)])), ['forbidden', 'unchanged']);
    await done(store, alice, [folder('/team', true, 0o700, 1)]);
    assert.deepEqual(
      (await store.stat(bob, ['/team'])).map((entry) => [entry?.mode, entry?.mtimeUs]),
      [[0o700, 1]],
    );
    const { changes } = await allChanges(store, bob);
    assert.deepEqual(changes.at(-1)?.path, '/team');
  });
}
