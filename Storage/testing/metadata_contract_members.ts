import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import type { Role } from '../../Models/operations.ts';
import type { Metadata, Principal } from '../metadata.ts';
import {
  alice,
  allChanges,
  bob,
  carol,
  commit,
  contentOf,
  done,
  listing,
  mkdir,
  move,
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

const wanted = (path: string, who: Principal, role: Role = 'viewer') => ({
  path,
  userId: who.userId,
  userName: who.userName,
  role,
  message: null,
});
const at = (path: string, who: Principal) => ({ path, userId: who.userId });
const rolesAt = async (store: Metadata, who: Principal, path: string) =>
  (await store.members(who, path)).map(({ user, role, state, inherited }) =>
    [user, role, state, inherited ? 'inherited' : ''].join(' ').trim(),
  );
const tries = async (store: Metadata, who: Principal, path: string) =>
  words(await commit(store, who, [mkdir(`${path}/${who.userName}`)]))[0];

/** What is given to members, changed and taken away. */
export function contractOfMembers(open: OpenPlace): void {
  test('an invitation ends with its time, can be made again then, and is told as expired for a while', async (t) => {
    let now = 1000;
    const store = await (await open(t)).open({ now: () => now });
    await done(store, alice, [mkdir('/team')]);
    const first = await store.invite(alice, { ...wanted('/team', bob), lifetimeMs: 50 });
    const usual = await store.invite(alice, wanted('/team', carol));
    assert.deepEqual([first.expiresAtMs, usual.expiresAtMs], [1050, 1000 + LIMITS.invitationLifetimeMs]);
    now = 1050;
    assert.deepEqual(
      (await store.invitations(bob)).received.map(({ state }) => state),
      ['expired'],
    );
    assert.deepEqual(await rolesAt(store, alice, '/team'), ['alice owner member', 'carol viewer invited']);
    await assert.rejects(store.accept(bob, first.id), { code: 'invitation_invalid' });
    await assert.rejects(store.decline(bob, first.id), { code: 'invitation_invalid' });
    await assert.rejects(store.uninvite(alice, at('/team', bob)), { code: 'user_unknown' });
    const again = await store.invite(alice, wanted('/team', bob));
    await store.accept(bob, again.id);
    now = 1050 + LIMITS.invitationShownMs;
    assert.deepEqual(
      (await store.invitations(bob)).received.map(({ state }) => state),
      [],
    );
    await store.accept(carol, usual.id).then(
      () => assert.fail('it had expired'),
      (error) => assert.equal(error.code, 'invitation_invalid'),
    );
  });

  test('a role is another one from the next operation on, up and down', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/f', one)], [one]);
    await share(store, '/team', bob, 'viewer');
    assert.equal(await tries(store, bob, '/team'), 'forbidden');
    assert.deepEqual(await store.setRole(alice, { ...at('/team', bob), role: 'editor' }), {
      user: 'bob',
      role: 'editor',
      state: 'member',
      inherited: false,
    });
    assert.equal(await tries(store, bob, '/team'), 'done');
    assert.deepEqual((await store.stat(bob, ['/team']))[0]?.shared, { role: 'editor', owner: 'alice' });
    await store.setRole(alice, { ...at('/team', bob), role: 'viewer' });
    assert.deepEqual(words(await commit(store, bob, [remove('/team/f')])), ['forbidden']);
    const told = (await allChanges(store, bob)).changes.filter(({ kind }) => kind === 'members' || kind === 'role');
    assert.deepEqual(
      told.map(({ kind, user, path, details }) => [kind, user, path, details?.role, details?.path].join(' ').trim()),
      ['role alice / editor /team', 'role alice / viewer /team', 'members alice /team', 'members alice /team'],
    );
  });

  test('other owners invite, give roles and take members away, but the first owner stays', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob, 'owner');
    await share(store, '/team', carol, 'editor');
    await store.invite(bob, wanted('/team', dave));
    await store.setRole(bob, { ...at('/team', dave), role: 'editor' });
    assert.deepEqual(await rolesAt(store, bob, '/team'), [
      'alice owner member',
      'bob owner member',
      'carol editor member',
      'dave editor invited',
    ]);
    for (const attempt of [
      () => store.setRole(bob, { ...at('/team', alice), role: 'viewer' }),
      () => store.uninvite(bob, at('/team', alice)),
      () => store.setRole(carol, { ...at('/team', bob), role: 'viewer' }),
      () => store.uninvite(carol, at('/team', bob)),
      () => store.setRole(carol, { ...at('/team', carol), role: 'owner' }),
    ])
      await assert.rejects(attempt, { code: 'forbidden' });
    await assert.rejects(store.setRole(dave, { ...at('/team', bob), role: 'viewer' }), { code: 'not_found' });
    await assert.rejects(store.setRole(bob, { ...at('/team', person('erin')), role: 'viewer' }), { code: 'user_unknown' });
    await assert.rejects(store.uninvite(bob, at('/team', person('erin'))), { code: 'user_unknown' });
    await assert.rejects(store.uninvite(bob, at('/nothing', carol)), { code: 'not_found' });
    await store.uninvite(bob, at('/team', carol));
    assert.deepEqual(await store.stat(carol, ['/team']), [null]);
    // whoever is no owner any more has invited nobody
    await store.setRole(alice, { ...at('/team', bob), role: 'editor' });
    assert.deepEqual(
      (await store.invitations(dave)).received.map(({ state }) => state),
      ['revoked'],
    );
  });

  test('whoever is taken out has nothing of the folder any more, and their devices are told', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/team/f', one)], [one]);
    await share(store, '/team', bob);
    await done(store, bob, [mkdir('/box'), move('/team', '/box/work')]);
    const { cursor } = await allChanges(store, bob);
    await store.uninvite(alice, at('/team', bob));
    assert.deepEqual(await listing(store, bob), ['/box folder']);
    assert.deepEqual(await store.have(bob, [one.digest]), [false]);
    assert.deepEqual(
      (await allChanges(store, bob, cursor)).changes.map(({ kind, path, user }) => `${user} ${kind} ${path}`),
      ['alice leave /box/work'],
    );
    await assert.rejects(store.uninvite(alice, at('/team', bob)), { code: 'user_unknown' });
  });

  test('an accepted folder gets the path that is asked for, in the home and where nothing is', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team'), mkdir('/second')]);
    await done(store, bob, [put('/file', two), mkdir('/work/Taken')], [two]);
    const { id } = await store.invite(alice, wanted('/team', bob));
    for (const [path, code] of [
      ['/work/Taken', 'already_exists'],
      ['/work/taken', 'name_collides'],
      ['/file', 'already_exists'],
      ['/file/below', 'not_a_folder'],
      ['/nowhere/team', 'not_found'],
      ['/', 'already_exists'],
      ['/a/../b', 'name_invalid'],
    ] as const)
      await assert.rejects(store.accept(bob, id, path), { code }, path);
    assert.deepEqual(
      (await store.invitations(bob)).received.map(({ state }) => state),
      ['pending'],
    );
    assert.deepEqual(await store.accept(bob, id, '/work/team'), { path: '/work/team' });
    assert.deepEqual((await store.stat(bob, ['/work/team']))[0]?.shared, { role: 'viewer', owner: 'alice' });
    const second = await store.invite(alice, wanted('/second', bob));
    await assert.rejects(store.accept(bob, second.id, '/work/team/second'), { code: 'forbidden' });
    await assert.rejects(store.accept(bob, second.id, '/work/team'), { code: 'already_exists' });
  });
}
