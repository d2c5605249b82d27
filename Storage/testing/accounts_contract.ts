import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Account } from '../account.ts';
import type { Accounts, AccountsReader } from '../accounts.ts';

const MINUTE_MS = 60_000;
const newId = (): string => randomBytes(16).toString('hex');

function account(name: string): Account {
  const ksf = { memoryKiB: 65_536, iterations: 3, parallelism: 4 };
  return { id: newId(), name, role: 'user', disabled: false, record: randomBytes(192), ksf };
}

/** What every implementation of Accounts must do. @param open gives empty accounts and a reader of them, closed with the test */
export function accountsContract(kind: string, open: (t: TestContext) => Promise<{ accounts: Accounts; reader: AccountsReader }>): void {
  const contract = (name: string, body: (both: { accounts: Accounts; reader: AccountsReader }) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await open(t)));
  };
  async function begun(accounts: Accounts, owner: Account, atMs: number): Promise<string> {
    const id = newId();
    await accounts.openSession({ id, userId: owner.id, deviceId: newId(), deviceName: 'desk', atMs });
    return id;
  }

  contract('an account is found by every spelling that folds alike, and read back as it was', async ({ accounts, reader }) => {
    assert.equal(await accounts.hasAccounts(), false);
    const alice = account('straße');
    assert.deepEqual(await accounts.addAccount(alice, 1), alice);
    assert.equal(await accounts.hasAccounts(), true);
    assert.deepEqual(await accounts.findAccount('STRASSE'), alice);
    assert.deepEqual(await accounts.accountById(alice.id), alice);
    assert.deepEqual(await reader.findUser('Strasse'), { id: alice.id, name: 'straße' });
    assert.equal(await accounts.findAccount('nobody'), null);
    assert.equal(await reader.findUser('nobody'), null);
    assert.equal(await accounts.accountById(newId()), null);
  });

  contract(
    'for a login there is always an account: a disabled one that nobody has, for a name that nobody has',
    async ({ accounts, reader }) => {
      const nobody = await accounts.accountForLogin('alice', newId());
      assert.deepEqual([nobody.account.disabled, nobody.account.record.length, nobody.deviceSinceMs], [true, 192, null]);
      assert.equal(await accounts.hasAccounts(), false);
      const alice = account('alice');
      await accounts.addAccount(alice, 1);
      assert.deepEqual(await accounts.accountForLogin('ALICE', newId()), { account: alice, deviceSinceMs: null });
      assert.deepEqual(await accounts.accountForLogin('bob', newId()), nobody);
      assert.equal(await accounts.findAccount('bob'), null);
      assert.equal(await reader.findUser(''), null);
    },
  );

  contract('of two accounts with one name the first stays, also when both come at once', async ({ accounts }) => {
    const [one, other] = [account('alice'), account('alice')];
    const stored = await Promise.all([accounts.addAccount(one, 1), accounts.addAccount(other, 1)]);
    assert.deepEqual(stored[0], stored[1]);
    assert.deepEqual(await accounts.addAccount(one, 2), stored[0]);
    assert.deepEqual(await accounts.findAccount('alice'), stored[0]);
  });

  contract('what stretching users have is counted, of those who are not deleted', async ({ accounts }) => {
    const [cheap, dear] = [
      { memoryKiB: 1024, iterations: 9, parallelism: 1 },
      { memoryKiB: 2048, iterations: 1, parallelism: 1 },
    ];
    assert.deepEqual(await accounts.ksfShares(), []);
    const [alice, ...others] = ['alice', 'bob', 'cleo'].map((name) => account(name));
    await accounts.addAccount({ ...account('first'), ksf: dear }, 1);
    for (const one of [alice, ...others]) if (one !== undefined) await accounts.addAccount({ ...one, ksf: cheap }, 1);
    await accounts.deleteUser(alice?.id ?? '', 2);
    assert.deepEqual(await accounts.ksfShares(), [
      { ksf: cheap, users: 2 },
      { ksf: dear, users: 1 },
    ]);
  });

  contract('names are given for ids, and only for those that exist', async ({ accounts, reader }) => {
    const [alice, bob] = [account('alice'), account('bob')];
    for (const one of [alice, bob]) await accounts.addAccount(one, 1);
    const names = await reader.userNames([bob.id, newId(), alice.id]);
    assert.deepEqual([...names].sort(), [[alice.id, 'alice'] as const, [bob.id, 'bob'] as const].sort());
    assert.equal((await reader.userNames([])).size, 0);
    assert.deepEqual(await reader.devices([]), []);
  });

  contract('a session begins pending, is live once heard of, and ends once', async ({ accounts, reader }) => {
    const alice = account('alice');
    await accounts.addAccount(alice, 1);
    const session = { id: newId(), userId: alice.id, deviceId: newId(), deviceName: 'desk', atMs: 1000 };
    const opened = await accounts.openSession(session);
    const { id, userId, deviceId } = session;
    const expected = {
      id,
      userId,
      deviceId,
      userName: 'alice',
      userDisabled: false,
      role: 'user',
      deviceSinceMs: 1000,
      interactive: false,
      state: 'pending',
      endReason: null,
      createdAtMs: 1000,
      lastSeenMs: 1000,
    };
    assert.deepEqual({ ...opened }, expected);
    const device = { userId, deviceId, name: 'desk' };
    assert.deepEqual(
      await reader.devices([
        { userId, deviceId },
        { userId: newId(), deviceId },
        { userId, deviceId: newId() },
      ]),
      [{ ...device, signedIn: true }],
    );
    assert.deepEqual(await accounts.openSession({ ...session, atMs: 2000 }), opened);
    assert.equal(await reader.endOfSession(id), null);
    assert.equal(await accounts.touchSession(id, 3000, ({ lastSeenMs }) => lastSeenMs === 1000), null);
    assert.deepEqual({ ...(await accounts.session(id)) }, expected);
    assert.deepEqual({ ...(await accounts.touchSession(id, 3000)) }, expected);
    assert.deepEqual({ ...(await accounts.session(id)) }, { ...expected, state: 'live', lastSeenMs: 3000 });
    assert.deepEqual(await reader.endedSessions(0), []);

    for (let n = 0; n < 2; n += 1) await accounts.endSession(id, 4000 + n);
    assert.deepEqual(
      (await reader.endedSessions(0)).map((one) => ({ ...one })),
      [{ sequence: 1, id, endedAtMs: 4000, reason: 'logout', deviceRevoked: false, userId, deviceId }],
    );
    assert.equal(await accounts.touchSession(id, 5000), null);
    assert.deepEqual(
      await reader.devices([
        { userId, deviceId },
        { userId: newId(), deviceId },
        { userId, deviceId: newId() },
      ]),
      [{ ...device, signedIn: false }],
    );
    assert.equal((await accounts.session(id))?.state, 'ended');
    assert.deepEqual([await reader.endOfSession(id), await reader.endOfSession(newId())], ['logout', 'lapsed']);
    const since = async (name: string, id = deviceId) => (await accounts.accountForLogin(name, id)).deviceSinceMs;
    assert.deepEqual([await since('alice'), await since('alice', newId()), await since('nobody')], [1000, null, null]);
    assert.equal((await accounts.openSession(session))?.state, 'ended'); // said again after the end, it does not come back
    assert.equal(await accounts.session(newId()), null);
    assert.equal(await accounts.touchSession(newId(), 1), null);
    await accounts.endSession(newId(), 1);
  });

  contract('a session of nobody is refused and spoils no other write', async ({ accounts }) => {
    const alice = account('alice');
    await accounts.addAccount(alice, 1);
    await assert.rejects(begun(accounts, account('ghost'), 1));
    assert.equal((await accounts.session(await begun(accounts, alice, 1)))?.state, 'pending');
  });

  contract('ended sessions are numbered without gaps, in order, and read behind a number', async ({ accounts, reader }) => {
    const alice = account('alice');
    await accounts.addAccount(alice, 1);
    const ids = await Promise.all(Array.from({ length: 30 }, () => begun(accounts, alice, 1)));
    await Promise.all(ids.map((id) => accounts.endSession(id, 2)));
    const ended = await reader.endedSessions(0);
    assert.deepEqual(
      ended.map(({ sequence }) => sequence),
      ids.map((_, n) => n + 1),
    );
    assert.deepEqual(ended.map(({ id }) => id).sort(), [...ids].sort());
    assert.deepEqual(
      (await reader.endedSessions(28)).map(({ sequence }) => sequence),
      [29, 30],
    );
    assert.deepEqual(await reader.endedSessions(30), []);
  });

  contract('disabling a user ends its sessions and hides it; others are untouched', async ({ accounts, reader }) => {
    const [alice, bob] = [account('alice'), account('bob')];
    for (const one of [alice, bob]) await accounts.addAccount(one, 1);
    const [one, two, others] = [await begun(accounts, alice, 1), await begun(accounts, alice, 1), await begun(accounts, bob, 1)];
    await accounts.setDisabled(alice.id, true, 5);
    assert.deepEqual((await reader.endedSessions(0)).map(({ id }) => id).sort(), [one, two].sort());
    assert.equal((await accounts.session(others))?.state, 'pending');
    assert.equal((await accounts.session(await begun(accounts, alice, 5)))?.userDisabled, true);
    assert.equal(await reader.findUser('alice'), null);
    assert.equal((await accounts.findAccount('alice'))?.disabled, true);
    assert.equal((await reader.userNames([alice.id])).get(alice.id), 'alice');
    await accounts.setDisabled(alice.id, false, 6);
    assert.equal((await reader.findUser('alice'))?.id, alice.id);
    assert.equal((await accounts.session(one))?.state, 'ended');
  });

  contract('what nobody acknowledged or used lapses, what ended long ago is forgotten, numbers go on', async ({ accounts, reader }) => {
    const alice = account('alice');
    await accounts.addAccount(alice, 1);
    const at = (minute: number): number => minute * MINUTE_MS;
    const [silent, fresh, idle, used] = [
      await begun(accounts, alice, at(0)),
      await begun(accounts, alice, at(9)),
      await begun(accounts, alice, at(0)),
      await begun(accounts, alice, at(0)),
    ];
    await accounts.touchSession(idle, at(1));
    await accounts.touchSession(used, at(8));
    const options = { lifetimes: { pendingMs: at(1), liveMs: at(5), idleMs: null }, liveShare: 1, endedBeforeMs: at(0) };
    assert.equal(await accounts.lapseSessions({ ...options, atMs: at(10) }), 2);
    assert.deepEqual((await reader.endedSessions(0)).map(({ id }) => id).sort(), [silent, idle].sort());
    assert.equal((await accounts.session(fresh))?.state, 'pending');
    assert.equal((await accounts.session(used))?.state, 'live');
    assert.equal(await accounts.lapseSessions({ ...options, atMs: at(10), endedBeforeMs: at(11) }), 0);
    assert.deepEqual(await reader.endedSessions(0), []);
    await accounts.endSession(used, at(12));
    assert.deepEqual(
      (await reader.endedSessions(2)).map(({ sequence, id }) => ({ sequence, id })),
      [{ sequence: 3, id: used }],
    );
  });
}
