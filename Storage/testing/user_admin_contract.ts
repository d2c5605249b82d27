import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Account } from '../account.ts';
import type { Accounts } from '../accounts.ts';

const newId = (): string => randomBytes(16).toString('hex');
const ksf = { memoryKiB: 65_536, iterations: 3, parallelism: 4 };
const newPassword = () => ({ record: randomBytes(192), ksf: { ...ksf, iterations: 5 } });

/** What every implementation of UserAdmin must do. @param open gives empty accounts, closed with the test */
export function userAdminContract(kind: string, open: (t: TestContext) => Promise<Accounts>): void {
  const contract = (name: string, body: (accounts: Accounts) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await open(t)));
  };
  const add = (accounts: Accounts, name: string, role: Account['role'] = 'user'): Promise<Account> =>
    accounts.addAccount({ id: newId(), name, role, disabled: false, record: randomBytes(192), ksf }, 1);
  const begin = async (accounts: Accounts, userId: string, atMs: number): Promise<string> => {
    const id = newId();
    await accounts.openSession({ id, userId, deviceId: newId(), deviceName: 'desk', atMs });
    return id;
  };
  const endOf = async (accounts: Accounts, id: string) => (await accounts.session(id))?.endReason;

  contract('users are listed by name, page by page, with their sessions and what became of them', async (accounts) => {
    assert.deepEqual(await accounts.users(''), []);
    const [carol, alice, bob] = [await add(accounts, 'carol'), await add(accounts, 'alice', 'admin'), await add(accounts, 'bob')];
    await begin(accounts, alice.id, 5);
    const phone = await begin(accounts, alice.id, 6);
    await accounts.endSession(phone, 7);
    await accounts.setDisabled(bob.id, true, 8);
    await accounts.deleteUser(carol.id, 9);
    const common = { createdAtMs: 1, sessions: 0, lastSeenMs: null };
    const expected = [
      { id: alice.id, name: 'alice', role: 'admin', ...common, state: 'active', sessions: 1, lastSeenMs: 6 },
      { id: bob.id, name: 'bob', role: 'user', ...common, state: 'disabled' },
      { id: carol.id, name: 'carol', role: 'user', ...common, state: 'deleted' },
    ];
    assert.deepEqual(await accounts.users(''), expected);
    assert.deepEqual(await accounts.users('alice'), expected.slice(1));
    assert.deepEqual(await accounts.users('carol'), []);
    assert.deepEqual(await accounts.user('ALICE'), expected[0]);
    assert.deepEqual(await accounts.user('carol'), expected[2]);
    assert.equal(await accounts.user('nobody'), null);
    assert.equal(await accounts.user(''), null);
  });

  contract('a role that is taken away ends the sessions, one that is given does not', async (accounts) => {
    const [alice, bob] = [await add(accounts, 'alice'), await add(accounts, 'bob')];
    const [session, other] = [await begin(accounts, alice.id, 1), await begin(accounts, bob.id, 1)];
    assert.equal(await accounts.setRole(alice.id, 'admin', 2), 0);
    assert.equal((await accounts.session(session))?.role, 'admin');
    assert.equal(await accounts.setRole(alice.id, 'admin', 3), 0);
    assert.equal(await accounts.setRole(alice.id, 'user', 4), 1);
    assert.equal(await endOf(accounts, session), 'role_changed');
    const again = await begin(accounts, alice.id, 5);
    assert.equal(await accounts.setRole(alice.id, 'user', 6), 0); // was one already
    assert.deepEqual([await endOf(accounts, again), await endOf(accounts, other)], [null, null]);
  });

  contract('another password ends all sessions of the user and nobody else', async (accounts) => {
    const [alice, bob] = [await add(accounts, 'alice'), await add(accounts, 'bob')];
    const sessions = [await begin(accounts, alice.id, 1), await begin(accounts, alice.id, 2)];
    const other = await begin(accounts, bob.id, 1);
    const password = newPassword();
    assert.equal(await accounts.resetPassword(alice.id, password, 3), 2);
    assert.deepEqual(await accounts.findAccount('alice'), { ...alice, ...password });
    for (const id of sessions) assert.equal(await endOf(accounts, id), 'password_changed');
    assert.equal(await endOf(accounts, other), null);
    assert.deepEqual(await accounts.findAccount('bob'), bob);
    assert.equal(await accounts.resetPassword(newId(), password, 3), 0);
  });

  contract(
    'a deleted user has no record, no session and no way back but being restored; the name and the id stay theirs',
    async (accounts) => {
      const alice = await add(accounts, 'alice', 'admin');
      const session = await begin(accounts, alice.id, 1);
      assert.equal(await accounts.deleteUser(alice.id, 2), 1);
      assert.equal(await accounts.deleteUser(alice.id, 3), 0);
      assert.equal(await endOf(accounts, session), 'user_disabled');
      assert.equal(await accounts.findUser('alice'), null);
      assert.equal((await accounts.userNames([alice.id])).get(alice.id), 'alice'); // who made a file is still told
      const gone = await accounts.findAccount('alice');
      assert.deepEqual([gone?.id, gone?.disabled, gone?.role], [alice.id, true, 'user']);
      assert.ok(gone?.record.every((byte) => byte === 0));
      const other = await add(accounts, 'alice'); // of another person with the name nothing is written
      assert.deepEqual(other, gone);
      assert.equal(await accounts.hasAccounts(), true);

      await accounts.setDisabled(alice.id, false, 4);
      await accounts.resetPassword(alice.id, newPassword(), 4);
      assert.deepEqual(await accounts.findAccount('alice'), gone);
      const password = newPassword();
      await accounts.restoreUser(alice.id, password);
      const back = { ...alice, ...password, role: 'user' };
      assert.deepEqual(await accounts.findAccount('alice'), back);
      await accounts.restoreUser(alice.id, newPassword()); // who is there is not restored
      assert.deepEqual(await accounts.findAccount('alice'), back);
      assert.equal((await accounts.findUser('alice'))?.id, alice.id);
    },
  );
}
