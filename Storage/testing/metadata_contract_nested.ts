import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Role } from '../../Models/operations.ts';
import type { Metadata, Principal } from '../metadata.ts';
import { type Follower, openFollower } from './feed_follower.ts';
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
  nodeAt,
  type OpenPlace,
  person,
  put,
  remove,
  share,
  words,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const dave = person('dave');

async function give(
  store: Metadata,
  from: Principal,
  path: string,
  who: Principal,
  role: Role = 'viewer',
  place?: string,
): Promise<string> {
  const { id } = await store.invite(from, { path, userId: who.userId, userName: who.userName, role, message: null });
  return (await store.accept(who, id, place)).path;
}
const at = (path: string, who: Principal) => ({ path, userId: who.userId });
const roleIn = async (store: Metadata, who: Principal, path: string) => (await store.stat(who, [path]))[0]?.shared?.role ?? null;
const paths = async (store: Metadata, who: Principal) => (await listing(store, who)).map((line) => line.split(' ')[0]);

/** `/team` of alice's with bob as viewer; in it `/team/plans`, shared with carol as editor. */
async function nest(store: Metadata): Promise<void> {
  await done(store, alice, [put('/team/plans/f', one), put('/team/g', two)], [one, two]);
  await share(store, '/team', bob, 'viewer');
  assert.equal(await give(store, alice, '/team/plans', carol, 'editor'), '/plans');
}

/** Shared folders inside shared folders. */
export function contractOfNested(open: OpenPlace): void {
  test('who left a shared folder, and has it again with one around it, is told what was deleted in it meanwhile', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    const all = openFollower(store, carol, '/');
    const plans = openFollower(store, carol, '/plans');
    for (const follower of [all, plans]) await follower.check();
    await store.leave(carol, '/plans');
    const changed = [remove('/team/plans/f'), put('/team/plans/new', two), mkdir('/team/in'), move('/team/plans', '/team/in/plans')];
    await done(store, alice, changed, [two]);
    await give(store, alice, '/team', carol);
    assert.deepEqual(await paths(store, carol), ['/team', '/team/g', '/team/in', '/team/in/plans', '/team/in/plans/new']);
    for (const follower of [all, plans]) await follower.check();
  });

  test('of a shared folder in a shared folder the members of the outer one see all, those of the inner one it alone', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    assert.deepEqual(await paths(store, bob), ['/team', '/team/g', '/team/plans', '/team/plans/f']);
    assert.deepEqual(await paths(store, carol), ['/plans', '/plans/f']);
    assert.deepEqual(await store.have(carol, [one.digest, two.digest]), [true, false]);
    assert.deepEqual(
      [await roleIn(store, alice, '/team/plans'), await roleIn(store, bob, '/team/plans'), await roleIn(store, carol, '/plans')],
      ['owner', 'viewer', 'editor'],
    );
    assert.deepEqual(await store.members(bob, '/team/plans/f'), [
      { user: 'alice', role: 'owner', state: 'member', inherited: false },
      { user: 'bob', role: 'viewer', state: 'member', inherited: true },
      { user: 'carol', role: 'editor', state: 'member', inherited: false },
    ]);
    await done(store, carol, [put('/plans/new', two)], [two]);
    assert.equal((await store.stat(bob, ['/team/plans/new']))[0]?.size, two.size);
    assert.deepEqual(words(await commit(store, bob, [mkdir('/team/plans/x')])), ['forbidden']);
    await done(store, alice, [mkdir('/team/plans/x/y'), copy('/team', '/copied')]);
    assert.deepEqual((await paths(store, alice)).filter((path) => path?.startsWith('/copied/plans')).length, 5);
  });

  test('the role is the most of what the inner and the outer folder give, and follows both', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    await store.setRole(alice, { ...at('/team', bob), role: 'editor' });
    assert.equal(await roleIn(store, bob, '/team/plans'), 'editor');
    await assert.rejects(store.setRole(alice, { ...at('/team/plans', bob), role: 'viewer' }), { code: 'forbidden' });
    await store.setRole(alice, { ...at('/team/plans', bob), role: 'owner' });
    await store.setRole(alice, { ...at('/team', bob), role: 'viewer' });
    assert.deepEqual([await roleIn(store, bob, '/team'), await roleIn(store, bob, '/team/plans')], ['viewer', 'owner']);
    await store.uninvite(alice, at('/team/plans', bob));
    assert.equal(await roleIn(store, bob, '/team/plans'), 'viewer');
    await assert.rejects(store.uninvite(alice, at('/team/plans', bob)), { code: 'forbidden' });
    await assert.rejects(store.leave(bob, '/team/plans'), { code: 'forbidden' });
  });

  test('who leaves the outer folder keeps what was given of the inner one, at home', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    assert.equal(await give(store, alice, '/team', carol), '/team');
    assert.deepEqual(await paths(store, carol), ['/team', '/team/g', '/team/plans', '/team/plans/f']);
    assert.equal(await roleIn(store, carol, '/team/plans'), 'editor');
    await store.leave(carol, '/team');
    assert.deepEqual(await paths(store, carol), ['/plans', '/plans/f']);
    await store.uninvite(alice, at('/team', bob));
    assert.deepEqual(await paths(store, bob), []);
    assert.deepEqual(await store.have(bob, [one.digest, two.digest]), [false, false]);
  });

  test('moved into a shared folder it is there for all its members, moved out for none but its own', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/plans/f', one), put('/team/g', two), mkdir('/team/sub')], [one, two]);
    await share(store, '/team', bob, 'editor');
    await share(store, '/plans', carol, 'viewer');
    await share(store, '/team', carol, 'viewer');
    const followers: Follower[] = [];
    for (const who of [alice, bob, carol]) for (const root of ['/', '/team']) followers.push(openFollower(store, who, root));
    const check = async () => {
      for (const follower of followers) await follower.check();
    };
    await check();
    const plans = await nodeAt(store, alice, '/plans');
    assert.deepEqual(words(await commit(store, carol, [move('/plans', '/team/plans')])), ['forbidden']);
    await done(store, alice, [move('/plans', '/team/sub/plans')]);
    for (const who of [alice, bob, carol]) {
      assert.deepEqual(await paths(store, who), ['/team', '/team/g', '/team/sub', '/team/sub/plans', '/team/sub/plans/f']);
      assert.equal(await nodeAt(store, who, '/team/sub/plans'), plans);
    }
    await check();
    await done(store, bob, [move('/team/sub/plans', '/team/ideas'), put('/team/ideas/h', two)], [two]);
    await check();
    assert.deepEqual(words(await commit(store, bob, [move('/team/ideas', '/ideas')])), ['forbidden']);
    await done(store, alice, [move('/team/ideas', '/back')]);
    assert.deepEqual(await paths(store, alice), ['/back', '/back/f', '/back/h', '/team', '/team/g', '/team/sub']);
    assert.deepEqual(await paths(store, bob), ['/team', '/team/g', '/team/sub']);
    assert.deepEqual(await paths(store, carol), ['/back', '/back/f', '/back/h', '/team', '/team/g', '/team/sub']);
    assert.deepEqual(await store.have(bob, [one.digest]), [false]);
    await check();
  });

  test('taken out by an editor it goes back to its owner and to who was invited to it', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    await store.setRole(alice, { ...at('/team', bob), role: 'editor' });
    assert.deepEqual(words(await commit(store, bob, [remove('/team/plans')])), ['done']);
    assert.deepEqual(await paths(store, bob), ['/team', '/team/g']);
    assert.deepEqual(await paths(store, alice), ['/plans', '/plans/f', '/team', '/team/g']);
    assert.deepEqual(await paths(store, carol), ['/plans', '/plans/f']);
    assert.deepEqual(words(await commit(store, alice, [remove('/plans'), remove('/team')])), ['done', 'done']);
    for (const who of [alice, bob, carol]) assert.deepEqual(await paths(store, who), []);
  });

  test('a folder that its owner cannot reach any more in the outer one goes home with them', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob, 'editor');
    await share(store, '/team', carol, 'viewer');
    await done(store, bob, [put('/own/f', one)], [one]);
    await give(store, bob, '/own', dave, 'editor');
    await done(store, bob, [move('/own', '/team/own')]);
    assert.deepEqual(await paths(store, carol), ['/team', '/team/own', '/team/own/f']);
    assert.deepEqual([await roleIn(store, alice, '/team/own'), await roleIn(store, bob, '/team/own')], ['owner', 'owner']);
    assert.deepEqual(words(await commit(store, alice, [remove('/team')])), ['forbidden']); // it holds what is bob's
    await store.leave(bob, '/team');
    assert.deepEqual(await paths(store, bob), ['/own', '/own/f']);
    for (const who of [alice, carol]) assert.deepEqual(await paths(store, who), ['/team']);
    assert.deepEqual(await paths(store, dave), ['/own', '/own/f']);
    assert.deepEqual(await store.have(carol, [one.digest]), [false]);
  });

  test('a folder that holds shared ones can be shared: they stay in it', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/around/inner/f', one)], [one]);
    await share(store, '/around/inner', carol, 'viewer');
    const follower = openFollower(store, alice, '/');
    await follower.check();
    await share(store, '/around', bob, 'editor');
    await follower.check();
    assert.deepEqual(await paths(store, bob), ['/around', '/around/inner', '/around/inner/f']);
    assert.deepEqual(await paths(store, carol), ['/inner', '/inner/f']);
    await done(store, bob, [put('/around/inner/g', two)], [two]);
    assert.equal((await store.stat(carol, ['/inner/g']))[0]?.size, two.size);
  });

  test('a shared folder cannot go into itself, through whatever is in between, nor so deep that it cannot be named', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    await done(store, alice, [mkdir('/team/plans/deep')]);
    await share(store, '/team/plans/deep', dave, 'viewer');
    const cycles = [
      move('/team', '/team/plans/deep/team'),
      move('/team/plans', '/team/plans/deep/plans'),
      move('/team', '/team/team'),
      copy('/team', '/team/plans/team'),
    ];
    assert.deepEqual(
      words(await commit(store, alice, cycles)),
      cycles.map(() => 'folder_into_itself'),
    );
    const long = Array.from({ length: 100 }, (_, i) => `d${i}`).join('/');
    await done(store, alice, [mkdir(`/team/plans/deep/${long}`), mkdir(`/x/${long}`)]);
    assert.deepEqual(words(await commit(store, alice, [move('/team', `/x/${long}/team`)])), ['path_invalid']);
  });

  test('an invitation to a folder that one has inside another meanwhile gives the role, and no second place', async (t) => {
    const store = await (await open(t)).open();
    await nest(store);
    const { id } = await store.invite(alice, { path: '/team/plans', userId: dave.userId, userName: 'dave', role: 'editor', message: null });
    await give(store, alice, '/team', dave, 'viewer');
    assert.equal(await roleIn(store, dave, '/team/plans'), 'viewer');
    await assert.rejects(store.accept(dave, id, '/own'), { code: 'invitation_invalid' });
    assert.deepEqual(await store.accept(dave, id), { path: '/team/plans' });
    assert.equal(await roleIn(store, dave, '/team/plans'), 'editor');
    assert.deepEqual(await paths(store, dave), ['/team', '/team/g', '/team/plans', '/team/plans/f']);
  });

  test('when a folder inside a shared one is shared, those who follow either see no entry change', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/plans/a/f', one), put('/team/g', two)], [one, two]);
    await share(store, '/team', bob, 'editor');
    const roots = ['/', '/team', '/team/plans', '/team/plans/a'];
    const followers = [alice, bob].flatMap((who) => roots.map((root) => openFollower(store, who, root)));
    /** All but versions: what a device has on its disk. */
    const held = (follower: Follower) => follower.lines().map((line) => line.split(' ').toSpliced(-4, 1).join(' '));
    for (const follower of followers) await follower.check();
    const before = followers.map(held);
    const cursors = { alice: (await allChanges(store, alice)).cursor, bob: (await allChanges(store, bob)).cursor };
    await give(store, alice, '/team/plans', carol, 'editor');
    for (const [i, follower] of followers.entries()) {
      await follower.check();
      assert.deepEqual(held(follower), before[i]);
    }
    for (const [who, cursor] of [
      [alice, cursors.alice],
      [bob, cursors.bob],
    ] as const) {
      const { changes } = await allChanges(store, who, cursor);
      assert.deepEqual(
        changes.filter(({ kind }) => kind !== 'answered').map(({ kind, path }) => `${kind} ${path}`),
        ['share /team/plans', 'members /team/plans'],
      );
    }
    await done(store, carol, [put('/plans/a/new', two)], [two]);
    for (const follower of followers) await follower.check();
  });
}
