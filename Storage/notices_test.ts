import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import type { Metadata, Principal } from './metadata.ts';
import { openServerStore, type ServerStore } from './server_store.ts';
import { emptyDatabases } from './testing/databases.ts';
import { openFollower } from './testing/feed_follower.ts';
import { alice, allChanges, bob, done, mkdir } from './testing/metadata_fixture.ts';
import { startPostgres, type TestPostgres } from './testing/postgres.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startPostgres();
});
after(() => postgres.close());

const on = (who: Principal, n: number): Principal => ({ ...who, deviceId: n.toString(16).padStart(32, '0') });
const invitation = { path: '/team', userId: bob.userId, userName: bob.userName, role: 'editor' as const, message: 'come "in"' };

async function told(metadata: Metadata, who: Principal, after: string | null = null): Promise<unknown[]> {
  const { changes } = await allChanges(metadata, who, after);
  return changes.map(({ kind, path, user, device, details }) =>
    details === undefined ? `${kind} ${path}` : { kind, user, device, details },
  );
}

for (const [name, addressFor] of emptyDatabases(() => postgres)) {
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
}
