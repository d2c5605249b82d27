import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Change } from '../../Models/session_changes.ts';
import type { Account } from '../account.ts';
import type { Accounts, AccountsReader } from '../accounts.ts';

const newId = (): string => randomBytes(16).toString('hex');
type Both = { readonly accounts: Accounts; readonly reader: AccountsReader };

async function addUser(accounts: Accounts, name: string): Promise<Account> {
  const ksf = { memoryKiB: 65_536, iterations: 3, parallelism: 4 };
  return accounts.addAccount({ id: newId(), name, role: 'user', disabled: false, record: randomBytes(192), ksf }, 1);
}

/** What every implementation must do with sessions and devices, beside what accounts_contract.ts asks. */
export function sessionsContract(kind: string, open: (t: TestContext) => Promise<Both>): void {
  const contract = (name: string, body: (both: Both) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await open(t)));
  };
  async function begin(accounts: Accounts, userId: string, more: { deviceId?: string; interactive?: boolean; atMs?: number } = {}) {
    const session = { id: newId(), userId, deviceId: newId(), deviceName: 'desk', atMs: 1000, ...more };
    await accounts.openSession(session);
    return session;
  }
  /** Asks for changes in a session, with rising numbers. */
  function asking(accounts: Accounts, sessionId: string) {
    let number = 0;
    return async (change: Change, atMs = 5000) => {
      number += 1;
      return (await accounts.changeInSession({ sessionId, transaction: newId(), number, change, atMs }))?.result ?? null;
    };
  }

  contract('devices and sessions are listed to their user alone, the one seen last first', async ({ accounts, reader }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const desk = await begin(accounts, alice.id, { atMs: 1000 });
    const phone = await begin(accounts, alice.id, { atMs: 2000 });
    const prompt = await begin(accounts, alice.id, { deviceId: desk.deviceId, interactive: true, atMs: 3000 });
    await begin(accounts, bob.id, { deviceId: desk.deviceId, atMs: 9000 });
    await accounts.touchSession(phone.id, 4000);
    const common = { userId: alice.id, name: 'desk', signedIn: true, revokedAtMs: 0 };
    assert.deepEqual(await reader.listDevices(alice.id), [
      { ...common, deviceId: phone.deviceId, firstSeenMs: 2000, lastSeenMs: 4000 },
      { ...common, deviceId: desk.deviceId, firstSeenMs: 1000, lastSeenMs: 3000 },
    ]);
    assert.deepEqual(
      (await reader.listSessions(alice.id)).map(({ id, interactive, lastSeenMs, deviceName }) => [id, interactive, lastSeenMs, deviceName]),
      [
        [phone.id, false, 4000, 'desk'],
        [prompt.id, true, 3000, 'desk'],
        [desk.id, false, 1000, 'desk'],
      ],
    );
    await accounts.endSession(phone.id, 5000);
    assert.deepEqual(
      (await reader.listSessions(alice.id)).map(({ id }) => id),
      [prompt.id, desk.id],
    );
    assert.deepEqual(await reader.listDevices(newId()), []);
  });

  contract('when a device was seen last is known also when its sessions are forgotten', async ({ accounts, reader }) => {
    const alice = await addUser(accounts, 'alice');
    const { id, deviceId } = await begin(accounts, alice.id);
    const other = await begin(accounts, alice.id);
    await accounts.touchSession(id, 7000);
    await accounts.endSession(id, 8000);
    await accounts.lapseSessions({ pendingBeforeMs: 0, idleBeforeMs: 0, endedBeforeMs: 9000, atMs: 9000 });
    assert.equal(await accounts.session(id), null);
    const seen = new Map((await reader.listDevices(alice.id)).map((device) => [device.deviceId, device.lastSeenMs]));
    assert.deepEqual([seen.get(deviceId), seen.get(other.deviceId)], [7000, 1000]);
  });

  contract('each end has its reason, and the first one stays', async ({ accounts, reader }) => {
    const alice = await addUser(accounts, 'alice');
    const [one, two, three] = [await begin(accounts, alice.id), await begin(accounts, alice.id), await begin(accounts, alice.id)];
    await accounts.endSession(one.id, 2000);
    await accounts.endSession(two.id, 2000, 'idle');
    assert.equal(await accounts.endSessionsOf(alice.id, { reason: 'password_changed', except: null, atMs: 3000 }), 1);
    assert.equal(await accounts.endSessionsOf(alice.id, { reason: 'revoked', except: null, atMs: 4000 }), 0);
    assert.deepEqual(
      (await reader.endedSessions(0)).map(({ id, reason, userId, deviceId }) => ({ id, reason, userId, deviceId })),
      ([[one, 'logout'] as const, [two, 'idle'] as const, [three, 'password_changed'] as const] as const).map(([session, reason]) => ({
        ...{ id: session.id, reason, userId: alice.id },
        deviceId: session.deviceId,
      })),
    );
    assert.equal((await accounts.session(two.id))?.endReason, 'idle');
  });

  contract('all sessions of a user end but the one that is kept', async ({ accounts }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const [kept, other, bobs] = [await begin(accounts, alice.id), await begin(accounts, alice.id), await begin(accounts, bob.id)];
    assert.equal(await accounts.endSessionsOf(alice.id, { reason: 'password_changed', except: kept.id, atMs: 3000 }), 1);
    const states = await Promise.all([kept, other, bobs].map(async ({ id }) => (await accounts.session(id))?.state));
    assert.deepEqual(states, ['pending', 'ended', 'pending']);
  });

  contract('a device keeps the name that it was given, also when it logs in with its own', async ({ accounts, reader }) => {
    const alice = await addUser(accounts, 'alice');
    const { id, deviceId } = await begin(accounts, alice.id);
    assert.equal(await asking(accounts, id)({ kind: 'renameDevice', deviceId, name: 'kitchen' }), 'done');
    await begin(accounts, alice.id, { deviceId });
    assert.deepEqual(
      (await reader.devicesOf([alice.id])).map(({ name }) => name),
      ['kitchen'],
    );
    assert.equal((await reader.listSessions(alice.id))[0]?.deviceName, 'kitchen');
  });

  contract('a revoked device loses all its sessions, and other devices and users nothing', async ({ accounts, reader }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const mine = await begin(accounts, alice.id);
    const [lost, prompt] = [await begin(accounts, alice.id), newId()];
    await accounts.openSession({ ...lost, id: prompt, interactive: true });
    const bobs = await begin(accounts, bob.id, { deviceId: lost.deviceId });
    assert.equal(await accounts.deviceRevokedAtMs(alice.id, lost.deviceId), 0);
    const ask = asking(accounts, mine.id);
    assert.equal(await ask({ kind: 'revokeDevice', deviceId: lost.deviceId }), 'done');
    assert.deepEqual((await reader.endedSessions(0)).map(({ id }) => id).sort(), [lost.id, prompt].sort());
    for (const { reason, deviceRevoked } of await reader.endedSessions(0)) assert.deepEqual([reason, deviceRevoked], ['revoked', true]);
    assert.equal(await accounts.deviceRevokedAtMs(alice.id, lost.deviceId), 5000);
    assert.equal(await accounts.deviceRevokedAtMs(bob.id, lost.deviceId), 0);
    assert.equal((await accounts.session(bobs.id))?.state, 'pending');
    assert.equal((await accounts.session(mine.id))?.state, 'live');
    const again = await begin(accounts, alice.id, { deviceId: lost.deviceId, atMs: 6000 });
    const { state, deviceRevokedAtMs } = (await accounts.session(again.id)) ?? {};
    assert.deepEqual([state, deviceRevokedAtMs], ['pending', 5000]); // it may log in anew
    assert.equal(await accounts.deviceRevokedAtMs(alice.id, lost.deviceId), 5000);
  });

  contract('what belongs to another user, or to nobody, is not found and stays as it is', async ({ accounts, reader }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const mine = await begin(accounts, alice.id);
    const bobs = await begin(accounts, bob.id);
    const ask = asking(accounts, mine.id);
    for (const id of [bobs.deviceId, newId()]) {
      assert.equal(await ask({ kind: 'renameDevice', deviceId: id, name: 'mine' }), 'not_found');
      assert.equal(await ask({ kind: 'revokeDevice', deviceId: id }), 'not_found');
    }
    for (const id of [bobs.id, newId()]) assert.equal(await ask({ kind: 'endSession', sessionId: id }), 'not_found');
    assert.deepEqual((await reader.listDevices(bob.id))[0]?.name, 'desk');
    assert.equal((await accounts.session(bobs.id))?.state, 'pending');
  });

  contract('a change is done once: said again it gives what it gave, an older one is stale', async ({ accounts, reader }) => {
    const alice = await addUser(accounts, 'alice');
    const { id: sessionId, deviceId } = await begin(accounts, alice.id);
    const rename = (number: number, name: string, transaction = newId()) =>
      ({ sessionId, transaction, number, change: { kind: 'renameDevice', deviceId, name }, atMs: 1 }) as const;
    const first = rename(10, 'one');
    assert.deepEqual(await accounts.changeInSession(first), { result: 'done', number: 10 });
    const second = rename(20, 'two');
    assert.deepEqual(await accounts.changeInSession(second), { result: 'done', number: 20 });
    assert.deepEqual(await accounts.changeInSession(second), { result: 'done', number: 20 });
    assert.deepEqual(await accounts.changeInSession(first), { result: 'stale', number: 20 });
    assert.deepEqual(await accounts.changeInSession(rename(20, 'three')), { result: 'stale', number: 20 });
    assert.deepEqual(
      (await reader.devicesOf([alice.id])).map(({ name }) => name),
      ['two'],
    );
  });

  contract('of changes with one number that come at once, one is done', async ({ accounts }) => {
    const alice = await addUser(accounts, 'alice');
    const { id: sessionId, deviceId } = await begin(accounts, alice.id);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) => {
        const change = { kind: 'renameDevice', deviceId, name: `n${n}` } as const;
        return accounts.changeInSession({ sessionId, transaction: newId(), number: 7, change, atMs: 1 });
      }),
    );
    assert.equal(outcomes.filter((outcome) => outcome?.result === 'done').length, 1);
    assert.equal(outcomes.filter((outcome) => outcome?.result === 'stale').length, 19);
  });

  contract('who ends the own session is told so once more, and may change nothing any more', async ({ accounts }) => {
    const alice = await addUser(accounts, 'alice');
    const { id: sessionId, deviceId } = await begin(accounts, alice.id);
    const request = { sessionId, transaction: newId(), number: 1, change: { kind: 'endSession', sessionId } as const, atMs: 5000 };
    for (let n = 0; n < 2; n += 1) assert.deepEqual(await accounts.changeInSession(request), { result: 'done', number: 1 });
    assert.equal((await accounts.session(sessionId))?.endReason, 'revoked');
    const next = { ...request, number: 2, transaction: newId(), change: { kind: 'renameDevice', deviceId, name: 'x' } as const };
    assert.equal(await accounts.changeInSession(next), null);
    assert.equal(await accounts.changeInSession({ ...next, sessionId: newId() }), null);
  });
}
