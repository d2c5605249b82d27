import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ROUTES } from '../Models/routes.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
before(async () => {
  server = await openServer();
});
after(() => server[Symbol.asyncDispose]());

const newId = (): string => randomBytes(16).toString('hex');
const get = async (user: User, url: string) => (await server.ask(user, { method: 'GET', url })).json();

/** Another device of the same user, seen by the server. */
async function deviceOf(user: User, deviceName: string): Promise<User & { deviceId: string }> {
  const [sessionId, deviceId] = [newId(), newId()];
  await server.accounts.openSession({ id: sessionId, userId: user.id, deviceId, deviceName, interactive: true, atMs: Date.now() });
  const ticket = await server.ticketFor({ ...user, sessionId }, { claims: { dev: deviceId } });
  const device = { ...user, sessionId, ticket, deviceId };
  await get(device, ROUTES.whoami);
  return device;
}

async function notices(user: User): Promise<unknown[]> {
  const { changes } = await get(user, ROUTES.changes);
  return changes.map(({ kind, details }: { kind: string; details: unknown }) => ({ kind, details }));
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await isSo())) assert.ok(Date.now() < deadline, 'it does not come');
}

test('devices and sessions are listed to whose they are, and the one that asks is marked', async () => {
  const [ann, ben] = [await server.addUser('ann'), await server.addUser('ben')];
  const phone = await deviceOf(ann, 'phone');
  const { devices } = await get(phone, ROUTES.devices);
  assert.deepEqual(
    devices.map(({ name, own, signedIn, revokedAt }: Record<string, unknown>) => ({ name, own, signedIn, revokedAt })),
    [
      { name: 'phone', own: true, signedIn: true, revokedAt: null },
      { name: 'test', own: false, signedIn: true, revokedAt: null },
    ],
  );
  assert.ok(devices.every(({ lastSeenAt }: { lastSeenAt: string }) => Math.abs(Date.parse(lastSeenAt) - Date.now()) < 60_000));
  const { sessions } = await get(ann, ROUTES.sessions);
  assert.deepEqual(
    sessions.map(({ id, own, interactive, device }: Record<string, unknown>) => ({ id, own, interactive, device })),
    [
      { id: phone.sessionId, own: false, interactive: true, device: phone.deviceId },
      { id: ann.sessionId, own: true, interactive: false, device: '2'.repeat(32) },
    ],
  );
  assert.deepEqual(
    (await get(ben, ROUTES.sessions)).sessions.map(({ id }: { id: string }) => id),
    [ben.sessionId],
  );
});

test('a refusal says why the session has ended', async () => {
  for (const reason of ['logout', 'idle', 'password_changed'] as const) {
    const user = await server.addUser(`cat-${reason}`);
    await server.accounts.endSession(user.sessionId, Date.now(), reason);
    await server.revocations.poll();
    const problem = await get(user, ROUTES.whoami);
    assert.deepEqual([problem.status, problem.code, problem.reason], [401, 'ticket_revoked', reason]);
    assert.match(problem.detail, /^the session has ended: ./);
  }
});

test('the other devices are told once that one was revoked, also by a server that reads it again, and again when it comes back', async () => {
  const dan = await server.addUser('dan');
  await get(dan, ROUTES.whoami);
  const phone = await deviceOf(dan, 'phone');
  const arrival = { kind: 'device', details: { device: phone.deviceId, name: 'phone' } };
  await until(async () => (await notices(dan)).length === 1);
  const change = { kind: 'revokeDevice', deviceId: phone.deviceId } as const;
  const revoke = (number: number) =>
    server.accounts.changeInSession({ sessionId: dan.sessionId, transaction: newId(), number, change, atMs: Date.now() });
  await revoke(1);
  await server.revocations.poll();
  await until(async () => (await notices(dan)).length === 2);
  const departure = { kind: 'device', details: { device: phone.deviceId, name: 'phone', revoked: true } };
  assert.deepEqual(await notices(dan), [arrival, departure]);
  await server.notices.deviceRevoked(
    { userId: dan.id, userName: dan.name, deviceId: phone.deviceId },
    { name: 'phone', atMs: Date.now() - 1000 },
  );
  assert.equal((await notices(dan)).length, 2);
  const tablet = await deviceOf(dan, 'tablet');
  await until(async () => (await notices(dan)).length === 3);
  await server.accounts.endSession(tablet.sessionId, Date.now());
  const signedOut = { kind: 'revokeDevice', deviceId: tablet.deviceId } as const;
  for (const number of [2, 3])
    await server.accounts.changeInSession({ sessionId: dan.sessionId, transaction: newId(), number, change: signedOut, atMs: Date.now() });
  await server.revocations.poll();
  await until(async () => (await notices(dan)).length === 4);
  assert.deepEqual((await notices(dan)).at(-1), { kind: 'device', details: { device: tablet.deviceId, name: 'tablet', revoked: true } });
});
