import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change } from '../metadata.ts';
import {
  alice,
  allChanges,
  bob,
  contentOf,
  copy,
  done,
  mkdir,
  move,
  type OpenPlace,
  put,
  remove,
  share,
  symlink,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two', 'parts');
const brief = (changes: readonly Change[]): string[] =>
  changes.map(({ kind, path, fromPath, user }) => `${user} ${kind} ${fromPath === null ? '' : `${fromPath} to `}${path}`);

export function contractOfChanges(open: OpenPlace): void {
  test('the feed tells every change in order, with who and what', async (t) => {
    const store = await (await open(t)).open({ now: () => 42 });
    const operations = [put('/a/f', two), symlink('/a/l', 'f'), move('/a/f', '/g'), copy('/a', '/b'), put('/g', one), remove('/a')];
    const [made] = await done(store, alice, operations, [one, two]);
    const { changes } = await allChanges(store, alice);
    assert.deepEqual(brief(changes), [
      'alice mkdir /a',
      'alice put /a/f',
      'alice symlink /a/l',
      'alice move /a/f to /g',
      'alice copy /b',
      'alice copy /b/l',
      'alice put /g',
      'alice delete /a',
    ]);
    assert.deepEqual(
      changes.map((change) => change.sequence),
      [1, 2, 3, 4, 5, 6, 7, 8],
    );
    const { cursor: _cursor, space: _space, ...second } = changes[1] as Change;
    assert.deepEqual(second, {
      sequence: 2,
      kind: 'put',
      path: '/a/f',
      fromPath: null,
      nodeId: made?.nodeId,
      version: 2,
      size: two.size,
      digest: two.digest,
      user: 'alice',
      device: alice.deviceId,
      atMs: 42,
    });
    assert.deepEqual([changes[7]?.size, changes[7]?.digest], [0, null]);
  });

  test('followed from any change on, nothing is repeated and nothing is skipped', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team'), put('/f', one)], [one]);
    await share(store, '/team', bob);
    await done(store, bob, [mkdir('/team/x'), mkdir('/mine')]);
    await done(store, alice, [mkdir('/team/y'), mkdir('/z')]);
    for (const who of [alice, bob]) {
      const { changes, cursor } = await allChanges(store, who);
      const ids = changes.map((change) => `${change.space}/${change.sequence}`);
      assert.equal(new Set(ids).size, ids.length);
      for (const [i, change] of changes.entries()) {
        assert.deepEqual((await allChanges(store, who, change.cursor)).changes, changes.slice(i + 1));
      }
      for (const limit of [1, 2, 3]) assert.deepEqual((await allChanges(store, who, null, limit)).changes, changes);
      assert.deepEqual((await allChanges(store, who, cursor)).changes, []);
    }
    const { cursor } = await allChanges(store, bob);
    await done(store, alice, [remove('/team/x'), remove('/z')]);
    assert.deepEqual(brief((await allChanges(store, bob, cursor)).changes), ['alice delete /team/x']);
  });

  test('a shared folder is in the feed from the time of joining, under the name it has for the reader now', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/before', one), mkdir('/other')], [one]);
    await done(store, bob, [mkdir('/mine')]);
    const start = { alice: (await allChanges(store, alice)).cursor, bob: (await allChanges(store, bob)).cursor };
    await share(store, '/team', bob);
    await done(store, alice, [put('/team/after', one), move('/team/after', '/team/later')]);
    assert.deepEqual(brief((await allChanges(store, alice, start.alice)).changes), [
      'alice share /team',
      'bob answered /',
      'bob members /team',
      'alice put /team/after',
      'alice move /team/after to /team/later',
    ]);
    assert.deepEqual(brief((await allChanges(store, bob, start.bob)).changes), [
      'alice invited /',
      'bob answered /',
      'bob join /team',
      'alice put /team/after',
      'alice move /team/after to /team/later',
    ]);
    const { cursor } = await allChanges(store, bob);
    await done(store, bob, [move('/team', '/work'), put('/work/x', one)]);
    assert.deepEqual(brief((await allChanges(store, bob, cursor)).changes), ['bob move /team to /work', 'bob put /work/x']);
    assert.deepEqual(brief((await allChanges(store, bob, start.bob)).changes).slice(-1), ['bob put /work/x']);
  });

  test('leaving is told, what happens while away is not, and joining again starts anew', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob);
    const { cursor } = await allChanges(store, bob);
    await store.leave(bob, '/team');
    await done(store, alice, [mkdir('/team/away')]);
    assert.deepEqual(brief((await allChanges(store, bob, cursor)).changes), ['bob leave /team']);
    await share(store, '/team', bob);
    await done(store, alice, [mkdir('/team/back')]);
    assert.deepEqual(brief((await allChanges(store, bob, cursor)).changes), [
      'bob leave /team',
      'alice invited /',
      'bob answered /',
      'bob join /team',
      'alice mkdir /team/back',
    ]);
    await done(store, alice, [remove('/team')]);
    assert.deepEqual(brief((await allChanges(store, bob, cursor)).changes), [
      'bob leave /team',
      'alice invited /',
      'bob answered /',
      'bob join /team',
      'alice leave /team',
    ]);
  });

  test('a cursor that is none, or of another server, is refused', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a')]);
    const { cursor } = await allChanges(store, alice);
    const text = Buffer.from(cursor, 'base64url').toString();
    const foreign = Buffer.from(`00000000${text.slice(8)}`).toString('base64url');
    for (const after of [
      '',
      'x',
      '!!!',
      foreign,
      Buffer.from(`${text},`).toString('base64url'),
      Buffer.from(`${text};`).toString('base64url'),
    ]) {
      await assert.rejects(store.changes(alice, { after, limit: 10 }), { code: 'cursor_invalid' }, after);
    }
  });
}
