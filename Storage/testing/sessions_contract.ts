import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Change } from '../../Models/session_changes.ts';
import type { Account } from '../account.ts';
import type { Accounts, AccountsReader } from '../accounts.ts';
import type { NewSession, SessionLimits } from '../sessions.ts';

const newId = (): string => randomBytes(16).toString('hex');
const LIFETIMES = { pendingMs: 60_000, liveMs: 1_000_000, idleMs: 100_000 };
type Both = { readonly accounts: Accounts; readonly reader: AccountsReader };

async function addUser(accounts: Accounts, name: string): Promise<Account> {
  const ksf = { memoryKiB: 65_536, iterations: 3, parallelism: 4 };
  return accounts.addAccount({ id: newId(), name, role: 'user', disabled: false, record: randomBytes(192), ksf }, 1);
}

async function sinceMs(accounts: Accounts, name: string, deviceId: string): Promise<number | null> {
  return (await accounts.accountForLogin(name, deviceId)).deviceSinceMs;
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
    await accounts.lapseSessions({ lifetimes: LIFETIMES, liveShare: 1, endedBeforeMs: 9000, atMs: 9000 });
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
      (await reader.listDevices(alice.id)).map(({ name }) => name),
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
    assert.equal(await sinceMs(accounts, 'alice', lost.deviceId), 1000);
    const ask = asking(accounts, mine.id);
    assert.equal(await ask({ kind: 'revokeDevice', deviceId: lost.deviceId }), 'done');
    assert.deepEqual((await reader.endedSessions(0)).map(({ id }) => id).sort(), [lost.id, prompt].sort());
    for (const { reason, deviceRevoked } of await reader.endedSessions(0)) assert.deepEqual([reason, deviceRevoked], ['revoked', true]);
    assert.equal(await sinceMs(accounts, 'alice', lost.deviceId), 5000);
    assert.equal(await sinceMs(accounts, 'bob', lost.deviceId), 1000);
    assert.equal((await accounts.session(bobs.id))?.state, 'pending');
    assert.equal((await accounts.session(mine.id))?.state, 'live');
    const again = await begin(accounts, alice.id, { deviceId: lost.deviceId, atMs: 6000 });
    const { state, deviceSinceMs } = (await accounts.session(again.id)) ?? {};
    assert.deepEqual([state, deviceSinceMs], ['pending', 5000]); // it may log in anew
    assert.equal(await sinceMs(accounts, 'alice', lost.deviceId), 5000);
  });

  contract('that a device without a session was revoked is read with what ended, once', async ({ accounts, reader }) => {
    const alice = await addUser(accounts, 'alice');
    const mine = await begin(accounts, alice.id);
    const { id, deviceId } = await begin(accounts, alice.id);
    await accounts.endSession(id, 2000);
    const ask = asking(accounts, mine.id);
    for (const atMs of [3000, 3500]) assert.equal(await ask({ kind: 'revokeDevice', deviceId }, atMs), 'done');
    const read = async () =>
      (await reader.endedSessions(0)).map((end) => [end.sequence, end.deviceId, end.reason, end.endedAtMs, end.deviceRevoked]);
    const [first, told] = [
      [1, deviceId, 'logout', 2000, false],
      [2, deviceId, 'revoked', 3000, true],
    ];
    assert.deepEqual(await read(), [first, told], 'the second time it was no news');
    assert.deepEqual((await reader.listDevices(alice.id)).find((one) => one.deviceId === deviceId)?.lastSeenMs, 1000);
    await begin(accounts, alice.id, { deviceId, atMs: 4000 });
    assert.equal((await reader.listSessions(alice.id)).length, 2);
    await ask({ kind: 'revokeDevice', deviceId }, 5000);
    assert.deepEqual((await read()).at(-1), [3, deviceId, 'revoked', 5000, true]);
    await accounts.endSession(mine.id, 6000);
    assert.equal((await reader.listSessions(alice.id)).length, 0, 'it is counted as no session');
  });

  contract(
    'a user has so many devices: of more those go that were not seen for longest and of which no session is known',
    async ({ accounts }) => {
      const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
      const limits = { all: 1e6, perUser: 1e6, devices: 4, lifetimes: LIFETIMES };
      const from = (deviceId: string, atMs: number) =>
        accounts.openSession({ id: newId(), userId: alice.id, deviceId, deviceName: 'new', atMs, limits });
      const [kept, first, second, third, further, next] = [newId(), newId(), newId(), newId(), newId(), newId()];
      await begin(accounts, bob.id, { deviceId: first });
      await from(kept, 1000); // not seen for longest, but its session goes on
      const opened = [await from(first, 2000), await from(second, 2001), await from(third, 2002)];
      const there = async (...ids: string[]) =>
        (await accounts.devices(ids.map((deviceId) => ({ userId: alice.id, deviceId })))).map(({ deviceId }) => deviceId).sort();
      await assert.rejects(from(further, 5000), { code: 'busy' });
      assert.deepEqual(await there(kept, first, second, third, further), [kept, first, second, third].sort());
      assert.equal((await from(kept, 5000))?.state, 'pending', 'a device that is known');
      for (const session of opened.slice(0, 2)) await accounts.endSession(session?.id ?? '', 6000);
      await assert.rejects(from(further, 7000), { code: 'busy' }); // of an end that must still be told
      await accounts.lapseSessions({ lifetimes: LIFETIMES, liveShare: 1, endedBeforeMs: 6001, atMs: 6001 });
      assert.equal((await from(further, 7000))?.state, 'pending');
      assert.deepEqual(await there(kept, first, second, third, further), [kept, second, third, further].sort());
      const again = await from(first, 8000);
      assert.equal(again?.deviceSinceMs, 8000, 'nothing that it was given before is worth anything');
      assert.deepEqual(await there(kept, first, second, third, further), [kept, first, third, further].sort());
      await assert.rejects(from(next, 8000), { code: 'busy' });
      assert.equal(await sinceMs(accounts, 'bob', first), 1000);
    },
  );

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

  contract('what a user is called and their address are set each by itself, and gone with the user', async ({ accounts, reader }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const ask = asking(accounts, (await begin(accounts, alice.id)).id);
    assert.deepEqual(await reader.userProfile(alice.id), { displayName: '', email: '' });
    assert.equal(await ask({ kind: 'setDisplayName', displayName: 'Alice A.' }), 'done');
    assert.equal(await ask({ kind: 'setEmail', email: 'alice@example.org' }), 'done');
    assert.deepEqual(await reader.userProfile(alice.id), { displayName: 'Alice A.', email: 'alice@example.org' });
    assert.deepEqual(await reader.displayNames(['bob', 'ALICE', 'nobody']), new Map([['alice', 'Alice A.']]));
    assert.equal(await ask({ kind: 'setDisplayName', displayName: '' }), 'done');
    assert.deepEqual(await reader.displayNames(['alice']), new Map());
    assert.deepEqual(await reader.userProfile(alice.id), { displayName: '', email: 'alice@example.org' });
    assert.deepEqual(await reader.userProfile(bob.id), { displayName: '', email: '' });
    await accounts.deleteUser(alice.id, 9000);
    assert.deepEqual(await reader.userProfile(alice.id), { displayName: '', email: '' });
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
      (await reader.listDevices(alice.id)).map(({ name }) => name),
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

  /** Logs in within limits. @returns null, or how long to wait */
  async function tryToBegin(accounts: Accounts, session: NewSession, limits: Partial<SessionLimits>): Promise<number | null> {
    try {
      await accounts.openSession({ ...session, limits: { all: 1e6, perUser: 1e6, devices: 1e6, lifetimes: LIFETIMES, ...limits } });
      return null;
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === 'busy' && error.retryAfterMs !== undefined, String(error));
      return error.retryAfterMs;
    }
  }
  const newSession = (userId: string, more: Partial<NewSession> = {}): NewSession => ({
    ...{ id: newId(), userId, deviceId: newId(), deviceName: 'desk', atMs: 1000, ...more },
  });

  contract(
    'of logins that come at once exactly as many are let in as there are places, of a user and of all',
    async ({ accounts, reader }) => {
      const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
      const limits = { perUser: 5, all: 8 };
      const outcomes = await Promise.all(
        Array.from({ length: 30 }, (_, n) => tryToBegin(accounts, newSession(n % 3 === 0 ? bob.id : alice.id), limits)),
      );
      assert.equal(outcomes.filter((waitMs) => waitMs === null).length, 8);
      for (const waitMs of outcomes) assert.ok(waitMs === null || waitMs === LIFETIMES.pendingMs);
      const counts = [(await reader.listSessions(alice.id)).length, (await reader.listSessions(bob.id)).length];
      assert.deepEqual(counts.toSorted(), [3, 5]);
    },
  );

  contract(
    'a place is free when a session ends, lapses or idles, and not a moment before; refused logins leave nothing',
    async ({ accounts, reader }) => {
      const alice = await addUser(accounts, 'alice');
      const limits = { perUser: 3 };
      const [pending, prompt, live] = [newSession(alice.id), newSession(alice.id, { interactive: true }), newSession(alice.id)];
      for (const one of [pending, prompt, live]) assert.equal(await tryToBegin(accounts, one, limits), null);
      for (const { id } of [prompt, live]) await accounts.touchSession(id, 2000);
      const refused = newSession(alice.id, { atMs: 61_000 });
      assert.equal(await tryToBegin(accounts, refused, limits), 0); // it lapses when more than its time has passed
      assert.equal(await accounts.session(refused.id), null);
      assert.equal((await reader.listDevices(alice.id)).length, 3);
      assert.equal(await tryToBegin(accounts, { ...refused, atMs: 61_001 }, limits), null);
      assert.equal((await accounts.session(pending.id))?.endReason, 'lapsed');
      assert.equal(await tryToBegin(accounts, newSession(alice.id, { atMs: 62_000 }), limits), 40_000); // the prompt is next
      assert.equal(await tryToBegin(accounts, newSession(alice.id, { atMs: 102_001 }), limits), null);
      assert.equal((await accounts.session(prompt.id))?.endReason, 'idle');
      await accounts.touchSession(refused.id, 102_001);
      await accounts.endSession(live.id, 102_001);
      assert.equal(await tryToBegin(accounts, newSession(alice.id, { atMs: 102_001 }), limits), null);
      assert.equal(await tryToBegin(accounts, newSession(alice.id, { atMs: 102_001 }), { all: 3 }), 60_000);
    },
  );

  contract(
    'a device that logs in again takes the place of its former session of the same kind, if there is no other',
    async ({ accounts }) => {
      const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
      const limits = { perUser: 3 };
      const desk = newSession(alice.id);
      const prompt = newSession(alice.id, { deviceId: desk.deviceId, interactive: true });
      for (const one of [desk, prompt, newSession(alice.id)]) assert.equal(await tryToBegin(accounts, one, limits), null);
      const again = newSession(alice.id, { deviceId: desk.deviceId, atMs: 2000 });
      assert.equal(await tryToBegin(accounts, newSession(bob.id, { deviceId: desk.deviceId }), { all: 3 }), 60_000); // of another user
      assert.equal(await tryToBegin(accounts, again, { perUser: 2 }), 59_000); // one place would not be enough
      assert.equal((await accounts.session(desk.id))?.state, 'pending');
      assert.equal(await tryToBegin(accounts, again, limits), null);
      const ends = await Promise.all([desk, prompt, again].map(async ({ id }) => (await accounts.session(id))?.endReason));
      assert.deepEqual(ends, ['replaced', null, null]);
      assert.equal(await tryToBegin(accounts, again, { perUser: 1 }), null); // said again it is the same
    },
  );

  contract(
    'a session that is from another one begins only while that lasts, and leaves the name of the device as it is',
    async ({ accounts, reader }) => {
      const alice = await addUser(accounts, 'alice');
      const login = await begin(accounts, alice.id);
      const from = { deviceId: login.deviceId, deviceName: null, from: login.id, interactive: true };
      assert.equal((await accounts.openSession(newSession(alice.id, from)))?.state, 'pending');
      assert.deepEqual(
        (await reader.listDevices(alice.id)).map(({ name }) => name),
        ['desk'],
      );
      await accounts.endSession(login.id, 2000);
      const late = newSession(alice.id, from);
      assert.equal(await accounts.openSession(late), null);
      assert.equal(await accounts.session(late.id), null);
      assert.equal(await accounts.openSession(newSession(alice.id, { ...from, from: newId() })), null);
    },
  );

  contract(
    'of those not heard of for too long only so many lapse together, the ones heard of longest ago, unless places are needed',
    async ({ accounts }) => {
      const alice = await addUser(accounts, 'alice');
      const all: string[] = [];
      for (let n = 0; n < 8; n += 1) all.push((await begin(accounts, alice.id)).id);
      const [pending = '', ...live] = all;
      for (const [n, id] of live.entries()) await accounts.touchSession(id, 2000 + ((n * 3) % 7));
      const ofLive = { lifetimes: LIFETIMES, endedBeforeMs: 0, atMs: 5_000_000 };
      const lapsed = async () =>
        (await Promise.all(all.map((id) => accounts.session(id)))).flatMap((one) => (one?.state === 'ended' ? [one.id] : []));
      assert.equal(await accounts.lapseSessions({ ...ofLive, liveShare: 0 }), 1);
      assert.deepEqual(await lapsed(), [pending]);
      assert.equal(await accounts.lapseSessions({ ...ofLive, liveShare: 0.01 }), 1);
      assert.deepEqual(await lapsed(), [pending, live[0]]);
      assert.equal(await accounts.lapseSessions({ ...ofLive, liveShare: 0.5 }), 3);
      assert.deepEqual(new Set(await lapsed()), new Set([pending, live[0], live[5], live[3], live[1]]));
      assert.equal(await tryToBegin(accounts, newSession(alice.id, { atMs: 5_000_000 }), { perUser: 3 }), null);
      assert.equal((await lapsed()).length, 6, 'as many as there was no place for');
    },
  );

  contract('the last quarter of all places is for users who have few', async ({ accounts }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const limits = { all: 4 * LIMITS.sessionsFew };
    const waits: (number | null)[] = [];
    for (let n = 0; n <= 3 * LIMITS.sessionsFew; n += 1) waits.push(await tryToBegin(accounts, newSession(alice.id), limits));
    assert.deepEqual(
      waits.filter((waitMs) => waitMs !== null),
      [60_000],
    );
    const desk = newSession(bob.id);
    assert.equal(await tryToBegin(accounts, desk, limits), null);
    for (let n = 1; n < LIMITS.sessionsFew; n += 1) assert.equal(await tryToBegin(accounts, newSession(bob.id), limits), null);
    assert.equal(await tryToBegin(accounts, newSession(bob.id), limits), 60_000);
    assert.equal(await tryToBegin(accounts, { ...desk, id: newId() }, limits), null, 'in place of one of the same device');
  });

  contract('a login that is refused the last quarter ends no overdue session of another, and is told to wait', async ({ accounts }) => {
    const [alice, bob] = [await addUser(accounts, 'alice'), await addUser(accounts, 'bob')];
    const limits = { all: 2 * LIMITS.sessionsFew };
    const atMs = 5_000_000;
    const others: string[] = [];
    for (let n = 0; n < LIMITS.sessionsFew; n += 1) {
      const { id } = await begin(accounts, bob.id);
      await accounts.touchSession(id, 2000); // overdue
      others.push(id);
    }
    const [desk, more] = [
      newSession(alice.id, { atMs }),
      Array.from({ length: LIMITS.sessionsFew - 1 }, () => newSession(alice.id, { atMs })),
    ];
    for (const one of [desk, ...more]) {
      await accounts.openSession(one);
      await accounts.touchSession(one.id, atMs);
    }
    const ended = async () => (await Promise.all(others.map((id) => accounts.session(id)))).filter((one) => one?.state === 'ended').length;
    for (let n = 0; n < 3; n += 1) assert.equal(await tryToBegin(accounts, newSession(alice.id, { atMs }), limits), LIMITS.lapsePauseMs);
    assert.equal(await tryToBegin(accounts, { ...desk, id: newId() }, limits), null, 'in place of one of the same device');
    assert.equal(await ended(), 0);
    assert.equal(await tryToBegin(accounts, newSession((await addUser(accounts, 'carol')).id, { atMs }), limits), null);
    assert.equal(await ended(), 1, 'for one who may have the place');
  });

  contract(
    'sessions at a prompt end when nothing is done in them, others do not, and none if there is no such limit',
    async ({ accounts }) => {
      const alice = await addUser(accounts, 'alice');
      const [prompt, busy, other] = [
        await begin(accounts, alice.id, { interactive: true }),
        await begin(accounts, alice.id, { interactive: true }),
        await begin(accounts, alice.id),
      ];
      for (const { id } of [prompt, busy, other]) await accounts.touchSession(id, 2000);
      await accounts.touchSession(busy.id, 90_000);
      const lapse = (atMs: number, idleMs: number | null) =>
        accounts.lapseSessions({ lifetimes: { ...LIFETIMES, idleMs }, liveShare: 1, endedBeforeMs: 0, atMs });
      assert.equal(await lapse(102_000, 100_000), 0);
      assert.equal(await lapse(102_001, null), 0);
      assert.equal(await lapse(102_001, 100_000), 1);
      const ends = await Promise.all([prompt, busy, other].map(async ({ id }) => (await accounts.session(id))?.endReason));
      assert.deepEqual(ends, ['idle', null, null]);
    },
  );
}
