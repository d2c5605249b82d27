import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openServerStore, type ServerStore } from './server_store.ts';
import { newDatabases } from './testing/databases.ts';
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
  put,
  remove,
  share,
  symlink,
} from './testing/metadata_fixture.ts';

const empty = contentOf();
const names = new Map([alice, bob, carol].map(({ userId, userName }) => [userId, userName]));

for (const [name, addressFor] of newDatabases()) {
  const open = async (t: TestContext): Promise<ServerStore> => {
    const store = await openServerStore(await addressFor(t));
    t.after(() => store.close());
    return store;
  };

  test(`a transaction tells once whom it concerns when it is durable, and one that changed nothing tells nobody, on ${name}`, async (t) => {
    const store = await open(t);
    const { metadata } = store;
    const told: Promise<string[]>[] = [];
    store.onTouched(({ spaces, users }) => {
      told.push(
        store
          .readersOf([...spaces])
          .then((readers) => [...new Set([...readers.map(({ userId }) => userId), ...users])].map((id) => names.get(id) ?? id).sort()),
      );
    });
    const concerns = async (run: () => Promise<unknown>): Promise<string[]> => {
      told.length = 0;
      await run();
      assert.ok(told.length <= 1, 'once');
      return (await told[0]) ?? [];
    };
    for (const user of [alice, bob, carol]) await done(metadata, user, [mkdir('/own')]);
    await done(metadata, alice, [put('/team/f', empty)]);
    assert.deepEqual(await concerns(() => done(metadata, alice, [mkdir('/mine')])), ['alice']);
    assert.deepEqual(await concerns(() => done(metadata, alice, [mkdir('/mine', true)])), []);
    assert.deepEqual(await concerns(() => commit(metadata, alice, [remove('/nothing')])), []);
    await share(metadata, '/team', bob);
    const team = await store.deleteScope.spaceAt(bob, '/team');
    assert.deepEqual(await concerns(() => done(metadata, bob, [put('/team/g', empty)])), ['alice', 'bob']);
    assert.deepEqual(await concerns(() => done(metadata, bob, [copy('/team/g', '/own/g')])), ['bob']);
    assert.deepEqual(await concerns(() => done(metadata, bob, [move('/own/g', '/team/h')])), ['alice', 'bob']);
    const invitation = { path: '/team', userId: carol.userId, userName: 'carol', role: 'viewer', message: null } as const;
    assert.deepEqual(await concerns(() => metadata.invite(alice, invitation)), ['alice', 'bob', 'carol']);
    assert.deepEqual(await concerns(() => metadata.leave(bob, '/team')), ['alice', 'bob']);
    assert.deepEqual(await concerns(() => done(metadata, alice, [remove('/team')])), ['alice', 'carol'], 'carol was still invited');
    assert.deepEqual(await store.readersOf([]), []);
    assert.deepEqual(await store.readersOf([team]), [], 'a deleted space has no readers');
  });

  test(`what operations would take out of a space is counted once each, on ${name}`, async (t) => {
    const { metadata, deleteScope } = await open(t);
    const files = ['/d/a', '/d/b', '/d/e/c', '/d/e/f/g', '/h', '/team/i', '/team/j'];
    await done(metadata, alice, [
      ...files.map((path) => put(path, empty)),
      symlink('/d/l', 'x'),
      mkdir('/empty'),
      put('/gone/k', empty),
      put('/d/k', empty),
    ]);
    await done(metadata, alice, [remove('/gone'), remove('/d/k')]);
    await share(metadata, '/team', bob);
    const home = await deleteScope.spaceAt(alice, '/d');
    const team = await deleteScope.spaceAt(bob, '/team/i');
    assert.equal(await deleteScope.spaceAt(alice, '/team'), team);
    assert.deepEqual([await deleteScope.livingFiles(home), await deleteScope.livingFiles(team)], [6, 2]);
    const node = await nodeAt(metadata, alice, '/d/e');
    const taken = async (who: typeof alice, ...operations: Parameters<typeof deleteScope.taken>[1][number][]) =>
      (await deleteScope.taken(who, operations)).map((one) =>
        one === null ? null : `${one.space === home ? 'home' : 'team'} ${one.files}`,
      );
    assert.deepEqual(await taken(alice, remove('/d')), ['home 5']);
    assert.deepEqual(await taken(alice, remove('/d/a'), remove('/d/e'), remove('/d')), ['home 1', 'home 2', 'home 2']);
    assert.deepEqual(await taken(alice, remove('/d'), remove('/d/a'), remove('/d/e')), ['home 5', 'home 0', 'home 0']);
    assert.deepEqual(await taken(alice, remove('/h'), remove('/h'), remove(`@${node}/c`), remove(`@${node}`)), [
      'home 1',
      'home 0',
      'home 1',
      'home 1',
    ]);
    assert.deepEqual(
      await taken(alice, remove('/empty'), remove('/nothing'), remove('/gone'), remove('/'), remove('/a//b'), remove('@999999')),
      ['home 0', ...Array.from({ length: 5 }, () => null)],
    );
    assert.deepEqual(await taken(alice, move('/d', '/dd'), move('/h', '/team/h'), move('/team/i', '/i'), mkdir('/x')), [
      null,
      'home 1',
      'team 1',
      null,
    ]);
    assert.deepEqual(await taken(alice, remove('/team')), ['team 2']);
    assert.deepEqual(await taken(bob, remove('/team')), [null]);
    assert.deepEqual(await taken(carol, remove('/d')), [null]);
  });
}
