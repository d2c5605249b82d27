import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import type { Metadata, Principal } from './metadata.ts';
import { openServerStore, type ServerStore } from './server_store.ts';
import { newDatabases } from './testing/databases.ts';
import { openFollower } from './testing/feed_follower.ts';
import { alice, allChanges, bob, carol, done, mkdir, move, remove, share } from './testing/metadata_fixture.ts';

const on = (who: Principal, n: number): Principal => ({ ...who, deviceId: n.toString(16).padStart(32, '0') });
const invitation = { path: '/team', userId: bob.userId, userName: bob.userName, role: 'editor' as const, message: 'come "in"' };

async function told(metadata: Metadata, who: Principal, after: string | null = null): Promise<unknown[]> {
  const { changes } = await allChanges(metadata, who, after);
  return changes.map(({ kind, path, user, device, details }) =>
    details === undefined ? `${kind} ${path}` : { kind, user, device, details },
  );
}

for (const [name, addressFor] of newDatabases()) {
  const open = async (t: TestContext): Promise<ServerStore> => {
    const store = await openServerStore(await addressFor(t));
    t.after(() => store.close());
    return store;
  };

  test(`an invitation is told in the journal of somebody who has nothing yet, without the device it came from, on ${name}`, async (t) => {
    const { metadata } = await open(t);
    await done(metadata, alice, [mkdir('/team')]);
    const { id } = await metadata.invite(alice, invitation);
    const details = { id, folder: 'team', from: 'alice', role: 'editor', message: 'come "in"' };
    assert.deepEqual(await told(metadata, bob), [{ kind: 'invited', user: 'alice', device: '', details }]);
    assert.ok(!JSON.stringify(await told(metadata, alice)).includes('invited'), 'it is for bob alone');
    await assert.rejects(metadata.invite(alice, invitation), { code: 'invitation_invalid' });
    assert.equal((await told(metadata, bob)).length, 1, 'what is rolled back is not told');
  });

  test(`notices have cursors between the changes, and one who syncs takes no notice of them, on ${name}`, async (t) => {
    const { metadata, notices } = await open(t);
    await done(metadata, alice, [mkdir('/a')]);
    const followers = ['/', '/a'].map((root) => openFollower(metadata, alice, root));
    for (const follower of followers) await follower.check();
    const notice = { kind: 'quota', details: { used: 80, limit: 100, full: false, by: null } } as const;
    await notices.tell(alice, notice);
    for (const follower of followers) assert.deepEqual((await follower.pull())?.present, []);
    await done(metadata, alice, [mkdir('/a/b')]);
    for (const follower of followers) await follower.check();
    const expected = ['mkdir /a', { ...notice, user: 'alice', device: alice.deviceId }, 'mkdir /a/b'];
    assert.deepEqual(await told(metadata, alice), expected);
    const { changes } = await allChanges(metadata, alice, null, 1);
    for (const [at, { cursor }] of changes.entries()) assert.deepEqual(await told(metadata, alice, cursor), expected.slice(at + 1));
    await assert.rejects(notices.tell(alice, { kind: 'quota', details: { much: 'x'.repeat(LIMITS.noticeBytesMax) } }), {
      code: 'too_large',
    });
  });

  test(`a user hears once of each further device, on ${name}`, async (t) => {
    const { metadata, notices } = await open(t);
    await notices.deviceSeen(on(alice, 1), 'laptop');
    await notices.deviceSeen(on(alice, 1), 'laptop');
    assert.deepEqual(await told(metadata, alice), [], 'there is nobody else to hear of the first');
    await Promise.all([2, 2, 3, 2].map((n) => notices.deviceSeen(on(alice, n), `phone ${n}`)));
    await notices.deviceSeen(on(bob, 2), 'of another user');
    const heard = (await told(metadata, alice)) as { kind: string; details: { name: string } }[];
    assert.deepEqual(heard.map(({ kind, details }) => `${kind} ${details.name}`).sort(), ['device phone 2', 'device phone 3']);
    assert.deepEqual(await told(metadata, bob), []);
  });

  test(`a user hears once that a device was revoked, and of it as a new one when it comes back, on ${name}`, async (t) => {
    const { metadata, notices } = await open(t);
    for (const n of [1, 2]) await notices.deviceSeen(on(alice, n), `d${n}`);
    const revoked = { name: 'd2', atMs: Date.now() + 1000 };
    for (let n = 0; n < 2; n += 1) await notices.deviceRevoked(on(alice, 2), revoked);
    await notices.deviceRevoked(on(alice, 3), revoked); // never seen
    const kinds = async () =>
      ((await told(metadata, alice)) as { details: { revoked?: true } }[]).map(({ details }) => details.revoked === true);
    assert.deepEqual(await kinds(), [false, true]);
    await notices.deviceSeen(on(alice, 2), 'd2');
    assert.deepEqual(await kinds(), [false, true, false]);
    await notices.deviceRevoked(on(alice, 2), { ...revoked, atMs: Date.now() - 60_000 }); // of before it came back, read again
    assert.equal((await kinds()).length, 3);
  });

  test(`who made an invitation and who got it hear how it ended, also when nobody may make it any more, on ${name}`, async (t) => {
    const { metadata } = await open(t);
    await done(metadata, alice, [mkdir('/team')]);
    const answers = async (who: Principal): Promise<unknown[]> =>
      ((await told(metadata, who)) as { kind?: string; user: string; details: { id: string } }[]).flatMap((one) =>
        one.kind === 'answered' ? [{ by: one.user, ...one.details }] : [],
      );
    const expected: unknown[] = [];
    const ends = async (by: Principal, state: string, end: (id: string) => Promise<unknown>): Promise<void> => {
      const { id } = await metadata.invite(alice, invitation);
      await end(id);
      expected.push({ by: by.userName, id, folder: 'team', from: 'alice', to: 'bob', state });
      for (const who of [alice, bob]) assert.deepEqual(await answers(who), expected, `${state} is told ${who.userName}`);
      await assert.rejects(metadata.decline(bob, id), { code: 'invitation_invalid' });
    };
    await ends(bob, 'declined', (id) => metadata.decline(bob, id));
    await ends(alice, 'revoked', (id) => metadata.decline(alice, id));
    await ends(alice, 'revoked', () => metadata.uninvite(alice, { path: '/team', userId: bob.userId }));
    await ends(bob, 'accepted', (id) => metadata.accept(bob, id, '/ours'));
    await metadata.setRole(alice, { path: '/team', userId: bob.userId, role: 'owner' });
    const { id } = await metadata.invite(bob, { ...invitation, path: '/ours', userId: carol.userId, userName: carol.userName });
    const unbacked = { by: 'bob', id, folder: 'ours', from: 'bob', to: 'carol', state: 'revoked' }; // carol is not told of alice
    await metadata.setRole(alice, { path: '/team', userId: bob.userId, role: 'editor' });
    assert.deepEqual([(await answers(carol)).at(-1), (await answers(bob)).at(-1)], [unbacked, unbacked]);
    const last = await metadata.invite(alice, { ...invitation, userId: carol.userId, userName: carol.userName });
    await done(metadata, alice, [remove('/team')]);
    assert.deepEqual((await answers(carol)).at(-1), { ...unbacked, by: 'alice', id: last.id, folder: 'team', from: 'alice' });
    assert.equal((await answers(bob)).length, expected.length + 1, 'what others are asked is not told');
  });

  test(`a public link is told who made it and whose shared folder it shows, each by their own path, and again once it is revoked, on ${name}`, async (t) => {
    const { metadata, links } = await open(t);
    await done(metadata, alice, [mkdir('/team'), mkdir('/team/sub'), mkdir('/else')]);
    await done(metadata, bob, [mkdir('/box')]);
    const theirs = await share(metadata, '/team', bob);
    await share(metadata, '/team', carol, 'viewer');
    const heard = async (who: Principal): Promise<unknown[]> =>
      ((await told(metadata, who)) as { kind?: string; user: string; details: object }[]).flatMap((one) =>
        one.kind === 'link' ? [{ by: one.user, ...one.details }] : [],
      );
    const link = async (who: Principal, path: string): Promise<string> =>
      (await links.create(who, { tokenHash: randomBytes(32), path, mode: 'download', password: null, expiresAtMs: null, usesMax: null }))
        .id;
    const made = (by: string, id: string, path: string | null) => ({ by, link: id, maker: by, mode: 'download', path, state: 'open' });
    const own = await link(alice, '/else');
    assert.deepEqual(await heard(alice), [made('alice', own, '/else')]);
    const inner = await link(bob, `${theirs}/sub`);
    assert.deepEqual((await heard(alice)).at(-1), made('bob', inner, '/team/sub'));
    await done(metadata, bob, [move(theirs, '/box/in')]);
    const outer = await link(bob, '/box');
    assert.deepEqual((await heard(alice)).at(-1), made('bob', outer, '/team'), 'what a member calls the folders around it is not told');
    assert.deepEqual(await heard(bob), [made('bob', inner, `${theirs}/sub`), made('bob', outer, '/box')]);
    await links.revoke(alice, outer);
    const over = { ...made('bob', outer, '/box'), by: 'alice', state: 'revoked' };
    assert.deepEqual([(await heard(bob)).at(-1), (await heard(alice)).at(-1)], [over, { ...over, path: '/team' }]);
    await links.revoke(alice, outer);
    await metadata.leave(bob, '/box/in');
    await links.revoke(alice, inner);
    assert.deepEqual((await heard(bob)).at(-1), { ...over, link: inner, path: null });
    assert.deepEqual((await heard(alice)).at(-1), { ...over, link: inner, path: '/team/sub' });
    assert.deepEqual([(await heard(alice)).length, (await heard(bob)).length, await heard(carol)], [5, 4, []]);
  });
}
