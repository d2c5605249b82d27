import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../Models/testing/seeded_random.ts';
import { testSeed } from '../../Models/testing/test_seed.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import type { Metadata, Principal } from '../metadata.ts';
import { openFollower } from './feed_follower.ts';
import {
  alice,
  bob,
  carol,
  commit,
  contentOf,
  copy,
  done,
  mkdir,
  move,
  nodeAt,
  type OpenPlace,
  put,
  remove,
  share,
  symlink,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two', 'parts');

type Told = { readonly present: readonly FeedNode[]; readonly gone: readonly number[] } | null;
/** Names of what was told, with a mark at unlisted folders; numbers of what is gone. */
const brief = (told: Told): (string | number)[] => [
  ...(told?.present.map(({ name, unlisted }) => `${name}${unlisted ? ' *' : ''}`).sort() ?? []),
  ...(told?.gone ?? []),
];

async function endOf(store: Metadata, who: Principal, root = '/', cursor: string | null = null) {
  const parts = await Array.fromAsync(store.feed(who, { root, cursor }));
  const end = parts.at(-1);
  assert.ok(end !== undefined && 'cursor' in end);
  return end;
}

export function contractOfFeed(open: OpenPlace): void {
  test('without a cursor a folder is told with all below it; with one, what changed', async (t) => {
    const store = await (await open(t)).open({ now: () => 5 });
    const operations = [put('/w/a/f', two, { mode: 0o600, mtimeUs: -3 }), symlink('/w/l', 'x'), mkdir('/w/e'), put('/other', one)];
    const [f, l] = await done(store, alice, operations, [one, two]);
    const w = await nodeAt(store, alice, '/w');
    const follower = openFollower(store, alice, '/w');
    const all = await follower.pull();
    assert.deepEqual(brief(all), ['a', 'e', 'f', 'l', 'w']);
    const file = all?.present.find((node) => node.name === 'f');
    assert.deepEqual(file, {
      nodeId: f?.nodeId,
      parentId: await nodeAt(store, alice, '/w/a'),
      name: 'f',
      kind: 'file',
      size: two.size,
      mtimeUs: -3,
      mode: 0o600,
      version: f?.version,
      digest: two.digest,
      chunkCount: 2,
      target: null,
      unlisted: false,
    });
    const link = all?.present.find((node) => node.name === 'l');
    assert.deepEqual([link?.target, link?.digest, link?.mode, link?.parentId], ['x', null, 0o777, w]);
    assert.deepEqual(brief(await follower.pull()), []);
    await done(store, alice, [put('/w/a/f', one), mkdir('/w/n/m'), remove('/w/l'), put('/elsewhere', one), mkdir('/w/x'), remove('/w/x')]);
    const news = await follower.pull();
    assert.deepEqual(brief({ present: news?.present ?? [], gone: news?.gone.slice(0, 1) ?? [] }), ['f', 'm', 'n', l?.nodeId]);
    await follower.check();
  });

  test('a folder that is moved within is one node; one that comes from elsewhere is to be listed; one that leaves is gone', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/w/a/b/f', one), put('/out/c/g', one), put('/w/h', one)], [one]);
    const [a, h] = [await nodeAt(store, alice, '/w/a'), await nodeAt(store, alice, '/w/h')];
    const follower = openFollower(store, alice, '/w');
    await follower.pull();
    await done(store, alice, [move('/w/a', '/w/A2')]);
    assert.deepEqual(brief(await follower.pull()), ['A2']);
    await done(store, alice, [move('/out/c', '/w/c')]);
    assert.deepEqual(brief(await follower.pull()), ['c *']);
    await done(store, alice, [move('/w/A2', '/out/A'), move('/w/h', '/out/h'), mkdir('/out/A/new'), put('/out/A/b/f', two)], [two]);
    assert.deepEqual(brief(await follower.pull()), [a, h]);
    await done(store, alice, [remove('/out/A/b/f'), move('/out/A/b', '/w/b')]);
    assert.deepEqual(brief(await follower.pull()).slice(0, 1), ['b *']);
    await follower.check();
    await done(store, alice, [move('/w', '/out/w'), move('/out/w/c', '/out/w/d'), mkdir('/w/decoy')]);
    await follower.check();
    assert.ok(follower.lines().some((line) => line.startsWith('/d/g ')));
    await done(store, alice, [remove('/out')]);
    assert.equal(await follower.pull(), null);
  });

  test('what leaves a folder before it could be listed is to be listed itself', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/out/c/sub/f', one), mkdir('/w/d')], [one]);
    const begun = await endOf(store, alice, '/w');
    await done(store, alice, [move('/out/c', '/w/c')]);
    const arrived = await endOf(store, alice, '/w', begun.cursor);
    await done(store, alice, [move('/w/c/sub', '/w/d/sub')]);
    const [news] = await Array.fromAsync(store.feed(alice, { root: '/w', cursor: arrived.cursor }));
    assert.ok(news !== undefined && 'present' in news);
    assert.deepEqual(brief(news), ['sub *']);
    assert.deepEqual((await store.changes(alice, { after: arrived.cursor, limit: 9 })).changes.length, 1);
  });

  test('what leaves a folder that goes while changes are told is to be listed itself', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/w/a/sub/f', one), mkdir('/team/w/d'), mkdir('/out')], [one]);
    await share(store, '/team', bob);
    const begun = await endOf(store, bob);
    await done(store, bob, [mkdir('/before')]);
    await done(store, alice, [move('/team/w/a', '/team/w/b')]);
    const told: Told[] = [];
    let cursor: string | null = null;
    for await (const part of store.feed(bob, { root: '/', cursor: begun.cursor })) {
      if ('cursor' in part) cursor = part.cursor;
      else if (told.push(part) === 1) {
        await done(store, alice, [move('/team/w/b/sub', '/team/w/d/sub'), remove('/team/w/b')]);
      }
    }
    assert.deepEqual(
      told.map((part) => part?.gone.length),
      [0, 1],
      'the folder is gone, and what was in it is not told',
    );
    const [news] = await Array.fromAsync(store.feed(bob, { root: '/', cursor }));
    assert.ok(news !== undefined && 'present' in news);
    assert.ok(brief(news).includes('sub *'));
  });

  test('what is in a folder that comes while changes are told has all above it', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/w/x', one), mkdir('/out/g/m'), put('/w/often', one)], [one]);
    const { cursor } = await endOf(store, alice, '/w');
    for (const half of [0, 1]) {
      await done(
        store,
        alice,
        Array.from({ length: 2048 }, (_, i) => put('/w/often', one, { mtimeUs: 2 * i + half })), // more than is told in one part
      );
    }
    await done(store, alice, [move('/w/x', '/out/g/m/x')]);
    const told: Told[] = [];
    for await (const part of store.feed(alice, { root: '/w', cursor })) {
      if (!('cursor' in part) && told.push(part) === 1) await done(store, alice, [move('/out/g', '/w/g')]);
    }
    assert.deepEqual(told.map(brief), [['often'], ['g *', 'x']]);
  });

  test('a copy is told in full', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/w/a/f', one), put('/out/c/g', one)], [one]);
    const follower = openFollower(store, alice, '/w');
    await follower.pull();
    await done(store, alice, [copy('/out/c', '/w/c'), copy('/w/a', '/w/a2')]);
    assert.deepEqual(brief(await follower.pull()), ['a2', 'c', 'f', 'g']);
    await follower.check();
  });

  test('a mount is a folder with the identity of what is mounted, and gone when the membership ends', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/a/f', one)], [one]);
    await done(store, bob, [mkdir('/mine/sub')]);
    const team = await nodeAt(store, alice, '/team');
    const [whole, mine] = [openFollower(store, bob, '/'), openFollower(store, bob, '/mine')];
    await whole.pull();
    await mine.pull();
    await share(store, '/team', bob);
    assert.deepEqual(brief(await whole.pull()), ['team *']);
    assert.deepEqual(brief(await mine.pull()), []);
    await done(store, alice, [put('/team/a/g', two)], [two]);
    assert.deepEqual(brief(await whole.pull()), ['g']);
    await done(store, bob, [move('/team', '/mine/ours')]);
    const moved = await whole.pull();
    assert.deepEqual(
      moved?.present.map(({ nodeId, name, parentId }) => [nodeId, name, parentId]),
      [[team, 'ours', await nodeAt(store, bob, '/mine')]],
    );
    assert.deepEqual(brief(await mine.pull()), ['g', 'ours *'], 'what is below it is in the journal since the cursor');
    for (const follower of [whole, mine]) await follower.check();
    const inside = openFollower(store, bob, `@${team}`);
    await inside.pull();
    await done(store, alice, [remove('/team/a/f'), mkdir('/alone')]);
    for (const follower of [whole, mine, inside]) await follower.check();
    await store.leave(bob, '/mine/ours');
    await done(store, alice, [mkdir('/team/away')]);
    assert.deepEqual([brief(await whole.pull()), brief(await mine.pull()), await inside.pull()], [[team], [team], null]);
    await share(store, '/team', bob);
    assert.deepEqual(brief(await whole.pull()), ['team *']);
    await whole.check();
    await done(store, alice, [remove('/team')]);
    assert.deepEqual(brief(await whole.pull()), [team]);
  });

  test('when a folder is shared, what is below it is listed again, for it has new versions', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/p/team/sub/f', one), mkdir('/p/q')], [one]);
    const followers = ['/', '/p', '/p/team', '/p/team/sub'].map((root) => openFollower(store, alice, root));
    for (const follower of followers) await follower.pull();
    await share(store, '/p/team', bob);
    await done(store, bob, [put('/team/sub/g', one)]);
    for (const follower of followers) await follower.check();
    await done(store, alice, [move('/p/team/sub', '/p/sub')]);
    for (const follower of followers) await follower.check();
  });

  test('joining again while nobody looked is noticed inside the shared folder too', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/a/f', one)], [one]);
    await share(store, '/team', bob);
    const follower = openFollower(store, bob, '/team/a');
    await follower.pull();
    await store.leave(bob, '/team');
    await done(store, alice, [put('/team/a/while-away', one), remove('/team/a/f')]);
    await share(store, '/team', bob);
    await follower.check();
    assert.equal(follower.lines().length, 2);
  });

  test('what was in a folder that is gone is not in it when that comes back in another one', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/a/f', one), put('/team/a/g', one), mkdir('/ours')], [one]);
    await share(store, '/team', bob);
    const follower = openFollower(store, bob, '/');
    await follower.pull();
    await share(store, '/team/a', carol);
    await done(store, alice, [move('/team/a/f', '/team/f')]);
    await store.leave(bob, '/team');
    await done(store, alice, [move('/team/a', '/ours/a')]);
    await share(store, '/ours', bob);
    await follower.check();
    assert.deepEqual(
      follower.lines().map((line) => line.split(' ')[0]),
      ['/', '/ours', '/ours/a', '/ours/a/g'],
    );
  });

  test('a cursor from beyond the journal, of another server, or none, is refused; so is what is no folder', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a'), put('/f', one)], [one]);
    const { cursor } = await endOf(store, alice);
    const [epoch, rest] = Buffer.from(cursor, 'base64url').toString().split('.') as [string, string];
    const [space, seq] = rest.split(':') as [string, string];
    const made = (text: string): string => Buffer.from(text).toString('base64url');
    const beyond = made(`${epoch}.${space}:${(Number.parseInt(seq, 36) + 1).toString(36)}`);
    for (const wrong of [beyond, made(`00000000.${rest}`), '!', made(`${epoch}.${rest};`)]) {
      await assert.rejects(endOf(store, alice, '/', wrong), { code: 'cursor_invalid' }, wrong);
    }
    await endOf(store, alice, '/', made(`${epoch}.${rest},zzz:zzz`)); // a space that is none of the reader's says nothing
    for (const from of [null, cursor]) {
      await assert.rejects(endOf(store, alice, '/nothing', from), { code: 'not_found' });
      await assert.rejects(endOf(store, alice, '@987654321', from), { code: 'not_found' });
      await assert.rejects(endOf(store, alice, '/f', from), { code: 'not_a_folder' });
      await assert.rejects(endOf(store, alice, '@0', from), { code: 'path_invalid' });
    }
    await assert.rejects(endOf(store, bob, `@${await nodeAt(store, alice, '/a')}`), { code: 'not_found' });
  });

  test('a user who has stored nothing gets a root to follow', async (t) => {
    const store = await (await open(t)).open();
    const follower = openFollower(store, alice, '/');
    assert.deepEqual((await follower.pull())?.present.length, 1);
    const { rootId } = await endOf(store, alice);
    await done(store, alice, [put(`@${rootId}/f`, one)], [one]);
    assert.deepEqual(brief(await follower.pull()), ['f']);
    await assert.rejects(endOf(store, bob, '/nothing'), { code: 'not_found' });
  });

  test('more changes and more files than fit into one page are told in several', async (t) => {
    const store = await (await open(t)).open();
    const follower = openFollower(store, alice, '/');
    await follower.pull();
    const names = Array.from({ length: 2000 }, (_, i) => `/d${i % 3}/f${i}`);
    for (let round = 0; round < 3; round += 1) {
      await done(
        store,
        alice,
        names.map((path) => put(path, one, { mtimeUs: round })),
        [one],
      );
    }
    await done(
      store,
      alice,
      names.slice(0, 1500).map((path) => remove(path)),
    );
    await done(store, alice, [move('/d1', '/d0/d1')]);
    await follower.check();
    assert.equal(follower.lines().length, 504);
  });

  test('what changes while it is listed or told is in the next feed', async (t) => {
    const store = await (await open(t)).open();
    const folders = Array.from({ length: 12 }, (_, i) => `/w/d${i}`);
    await done(
      store,
      alice,
      [...folders.flatMap((path) => [put(`${path}/in/f`, one), put(`${path}/in/deep/g`, one)]), mkdir('/out')],
      [one],
    );
    const ids = await Promise.all(folders.map((path) => nodeAt(store, alice, path)));
    const inner = await Promise.all(folders.map((path) => nodeAt(store, alice, `${path}/in`)));
    const [w, out] = [await nodeAt(store, alice, '/w'), await nodeAt(store, alice, '/out')];
    const seed = testSeed('feed');
    t.diagnostic(`seed ${seed}`);
    const next = seededRandom(seed);
    const random = (below: number): number => Math.floor(next() * below);
    const pick = (from: readonly number[]): number => from[random(from.length)] as number;
    let writing = true;
    const writer = (async () => {
      for (let i = 0; i < 150; i += 1) {
        const name = `n${i}`;
        await commit(store, alice, [
          move(`@${pick(inner)}`, `@${pick([...ids, ...inner, w, out])}/${name}`),
          put(`@${pick(inner)}/${name}`, one),
          move(`@${pick(ids)}`, `@${pick([...inner, w, out])}/m${i}`),
        ]);
      }
      writing = false;
    })();
    const followers = ['/w', '/'].map((root) => openFollower(store, alice, root));
    while (writing) {
      followers.push(openFollower(store, alice, '/w'));
      for (const follower of followers.slice(-4)) await follower.pull();
    }
    await writer;
    for (const follower of followers) await follower.check();
  });
}
