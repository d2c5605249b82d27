import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Account } from '../account.ts';
import type { Accounts } from '../accounts.ts';
import type { PasswordChange } from '../passwords.ts';

const newId = (): string => randomBytes(16).toString('hex');
const digestOf = (record: Uint8Array): Uint8Array => hash('sha256', record, 'buffer');

/** What every implementation of Passwords must do. @param open gives empty accounts, closed with the test */
export function passwordsContract(kind: string, open: (t: TestContext) => Promise<Accounts>): void {
  const contract = (name: string, body: (accounts: Accounts) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await open(t)));
  };
  async function addUser(accounts: Accounts, name: string): Promise<Account> {
    const ksf = { memoryKiB: 65_536, iterations: 3, parallelism: 4 };
    return accounts.addAccount({ id: newId(), name, role: 'user', disabled: false, record: randomBytes(192), ksf }, 1);
  }
  function changeOf({ id, record }: Account, more: Partial<PasswordChange> = {}): PasswordChange {
    const ksf = { memoryKiB: 32_768, iterations: 2, parallelism: 1 };
    const change = { userId: id, provenDigest: digestOf(record), record: randomBytes(192), ksf };
    return { ...change, endSessions: true, exceptSessions: [], atMs: 5, ...more };
  }
  async function begin(accounts: Accounts, { id: userId }: Account, provenDigest?: Uint8Array): Promise<string | null> {
    const session = { id: newId(), userId, deviceId: newId(), deviceName: 'desk', atMs: 1, ...(provenDigest ? { provenDigest } : {}) };
    return (await accounts.openSession(session))?.id ?? null;
  }
  const endedOf = async (accounts: Accounts): Promise<(string | null)[]> =>
    (await accounts.endedSessions(0)).map(({ id }) => id).toSorted();

  contract('a changed password has the new record, and the other sessions of its user are over for that reason', async (accounts) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const [own, other, third, foreign] = [
      await begin(accounts, alice),
      await begin(accounts, alice),
      await begin(accounts, alice),
      await begin(accounts, bob),
    ];
    const change = changeOf(alice, { exceptSessions: [own ?? ''] });
    assert.equal(await accounts.changePassword(change), 'changed');
    assert.deepEqual(await accounts.findAccount('alice'), { ...alice, record: change.record, ksf: change.ksf });
    assert.deepEqual(await endedOf(accounts), [other, third].toSorted());
    assert.deepEqual([...new Set((await accounts.endedSessions(0)).map(({ reason }) => reason))], ['password_changed']);
    for (const id of [own, foreign]) assert.equal((await accounts.session(id ?? ''))?.state, 'pending');
    assert.deepEqual(await accounts.findAccount('bob'), bob);
  });

  contract('other sessions go on where that is asked for, and all end where none is excepted', async (accounts) => {
    const alice = await addUser(accounts, 'alice');
    const sessions = [await begin(accounts, alice), await begin(accounts, alice)];
    const first = changeOf(alice, { endSessions: false });
    assert.equal(await accounts.changePassword(first), 'changed');
    assert.deepEqual(await endedOf(accounts), []);
    assert.equal(await accounts.changePassword(changeOf({ ...alice, record: first.record })), 'changed');
    assert.deepEqual(await endedOf(accounts), sessions.toSorted());
  });

  contract('the same change once more does nothing, and one that was proved with a record that is gone neither', async (accounts) => {
    const alice = await addUser(accounts, 'alice');
    const first = changeOf(alice);
    assert.equal(await accounts.changePassword(first), 'changed');
    const since = await begin(accounts, alice);
    assert.equal(await accounts.changePassword(first), 'same');
    assert.equal(await accounts.changePassword(changeOf(alice)), 'stale');
    const second = changeOf({ ...alice, record: first.record }, { exceptSessions: [since ?? ''] });
    assert.equal(await accounts.changePassword(second), 'changed');
    assert.equal(await accounts.changePassword(first), 'stale'); // said again, it does not come back
    assert.deepEqual((await accounts.findAccount('alice'))?.record, second.record);
    assert.deepEqual(await endedOf(accounts), []);
    assert.equal(await accounts.changePassword({ ...changeOf(alice), userId: newId() }), 'stale');
  });

  contract('of two changes at once from one password exactly one is made', async (accounts) => {
    const alice = await addUser(accounts, 'alice');
    const changes = Array.from({ length: 6 }, () => changeOf(alice));
    const outcomes = await Promise.all(changes.map((change) => accounts.changePassword(change)));
    assert.deepEqual(outcomes.toSorted(), ['changed', ...Array<string>(5).fill('stale')]);
    const winner = changes[outcomes.indexOf('changed')];
    assert.deepEqual((await accounts.findAccount('alice'))?.record, winner?.record);
  });

  contract('a login that was begun with the old password has a session that ends, or none', async (accounts) => {
    const alice = await addUser(accounts, 'alice');
    const old = digestOf(alice.record);
    const change = changeOf(alice);
    const [outcome, ...begun] = await Promise.all([
      accounts.changePassword(change),
      ...Array.from({ length: 12 }, () => begin(accounts, alice, old)),
    ]);
    assert.equal(outcome, 'changed');
    for (const id of begun) if (id !== null) assert.equal((await accounts.session(id))?.state, 'ended');
    assert.equal(await begin(accounts, alice, old), null);
    assert.notEqual(await begin(accounts, alice, digestOf(change.record)), null);
  });
}
