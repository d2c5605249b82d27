import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { cheapSessions, directExchange, openBareClient } from '../Client/testing/auth_client.ts';
import { LAYOUTS } from '../Models/datagrams.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import type { Accounts } from '../Storage/accounts.ts';

const { register, login } = cheapSessions;
const PASSWORD = 'correct horse battery';

async function place(t: TestContext): Promise<{ data: string; home: string }> {
  const folder = await temporaryFolder(t);
  return { data: join(folder, 'data'), home: join(folder, 'home') };
}

test('who comes, goes and is refused is written down once, with the device, the address and no name that nobody has', async (t) => {
  const { data, home } = await place(t);
  const clock = { atMs: Date.now() };
  let ends = 0;
  const wrap = (accounts: Accounts): Accounts => ({
    ...accounts,
    endSession(...given) {
      ends += 1;
      return accounts.endSession(...given);
    },
  });
  await using server = await startDaemon(data, { now: () => clock.atMs, wrap });
  const who = { auth: server.address, username: 'Alice', password: PASSWORD, home };
  await register(who);
  await assert.rejects(register(who), { code: 'name_taken' });
  const session = await login(who);
  await assert.rejects(login({ ...who, password: 'not the password' }), { code: 'credentials_wrong' });
  await assert.rejects(login({ ...who, username: PASSWORD.replaceAll(' ', '-') }), { code: 'credentials_wrong' });
  await server.daemon.sweep();
  assert.equal(server.audited.filter(({ what, result }) => what === 'login' && result !== 'ok').length, 0, 'they may still be finished');
  clock.atMs += 60_001;
  await server.daemon.sweep();
  await session.logout();
  await assert.rejects(session.refresh(), { code: 'session_unknown' });
  await session.logout();

  const [userId, address] = [session.user.id, '127.0.0.1'];
  const alice = { userId, userName: 'alice', address };
  const unanswered = { what: 'login', result: 'credentials_wrong', address, detail: 'the challenge was not answered' };
  assert.deepEqual(server.audited, [
    { what: 'registration', result: 'ok', ...alice },
    { what: 'registration', result: 'name_taken', address },
    { what: 'login', result: 'ok', ...alice, deviceId: session.deviceId },
    { ...unanswered, userId },
    { ...unanswered, userId: null },
    { what: 'logout', result: 'ok', ...alice, deviceId: session.deviceId },
    { what: 'renewal', result: 'session_unknown', address },
  ]);
  assert.equal(ends, 1, 'what is said again is not written again');
});

test('who knows a password begins so many sessions and no more, which is written down; others are not held up, and strangers not told', async (t) => {
  const { data, home } = await place(t);
  const clock = { atMs: Date.now() };
  const rates = { sessionRate: { perSecond: 1 / 60, burst: 2 }, promptRate: { perSecond: 1 / 60, burst: 1 } };
  await using server = await startDaemon(data, { now: () => clock.atMs, ...rates });
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  await register({ ...who, username: 'bob' });
  const session = await login(who);
  await session.atPrompt();
  await assert.rejects(session.atPrompt(), { code: 'busy' });
  await login(who); // the password counts for itself: a thief of the session has none
  await assert.rejects(login(who), { code: 'busy', retryAfterMs: 60_000 });
  await assert.rejects(login({ ...who, password: 'not the password' }), { code: 'credentials_wrong' });
  await login({ ...who, username: 'bob' });
  assert.equal(server.audited.filter(({ what, result }) => what === 'login' && result === 'busy').length, 2);
  clock.atMs += 60_000;
  await login(who);
});

test('whoever tries a password leaves a row, right or wrong, whatever they say with it and however they stop', async (t) => {
  const { data } = await place(t);
  const clock = { atMs: Date.now() };
  await using server = await startDaemon(data, { now: () => clock.atMs });
  await using client = openBareClient();
  const who = { username: 'alice', password: PASSWORD };
  const address = '203.0.113.5';
  const { finish, changePassword } = LAYOUTS.client;
  const through = (change: (up: Uint8Array) => Uint8Array | null) =>
    directExchange((up) => {
      const sent = change(Uint8Array.from(up));
      return sent === null ? Promise.resolve(null) : server.daemon.receive(sent, { address, port: 9 });
    });
  const straight = through((up) => up);
  const here = directExchange((up) => server.daemon.receive(up, { address: '127.0.0.1', port: 9 }));
  await client.register(here, who);
  const granted = await client.login(here, who);
  const rows = async () => {
    clock.atMs += 61_000;
    await server.daemon.sweep();
    return server.audited.filter((event) => event.address === address).map(({ what, result, detail }) => [what, result, detail ?? '']);
  };
  const unanswered = ['login', 'credentials_wrong', 'the challenge was not answered'];
  const changed = ['login', 'ok', 'to change the password'];

  const broken = through((up) => {
    if (up[3] === finish.code) up[20 + 16 + 260 + 64] = (up[20 + 16 + 260 + 64] ?? 0) ^ 1; // KE3 is right, what is sealed with it is not
    return up;
  });
  await assert.rejects(client.login(broken, who), /no believable answer/);
  assert.deepEqual(await rows(), [unanswered]);

  const newPassword = { current: PASSWORD, next: 'another horse battery' };
  const stopping = through((up) => (up[3] === changePassword.code ? null : up));
  await assert.rejects(client.changePassword(stopping, granted, newPassword));
  assert.deepEqual((await rows()).slice(0, 2), [unanswered, changed]);

  const before = (await rows()).length;
  await client.changePassword(straight, granted, newPassword);
  assert.deepEqual((await rows()).slice(before), [changed, ['password_changed', 'ok', '']]);
  await assert.rejects(client.changePassword(straight, granted, newPassword), { code: 'credentials_wrong' });
  assert.deepEqual((await rows()).at(-1), unanswered);
});

test('who asks too fast is written down, and sessions that lapse', async (t) => {
  const { data, home } = await place(t);
  const clock = { atMs: Date.now() };
  await using server = await startDaemon(data, { now: () => clock.atMs, rate: { perSecond: 1000, burst: 1 } });
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  await login(who);
  const hurried = login(who); // the clock stands still, and there is no second token before it goes on
  while (!server.audited.some(({ result }) => result === 'too_many_requests')) await new Promise((resolve) => setTimeout(resolve, 5));
  clock.atMs += 1000;
  const session = await hurried;
  assert.ok(
    server.audited.some(({ what, result, address }) => what === 'login' && result === 'too_many_requests' && address === '127.0.0.1'),
  );
  clock.atMs += 31 * 24 * 3_600_000; // as of a clock that is wrong
  const lapsed = { what: 'session_ended', result: 'ok', detail: '1 lapsed' };
  for (let n = 0; n < 2; n += 1) await server.daemon.sweep();
  assert.deepEqual(server.audited.at(-1), lapsed);
  assert.equal(server.audited.filter(({ what }) => what === 'session_ended').length, 1, 'not all at once');
  await session.refresh(); // it comes back, and is safe
  clock.atMs += 3_600_000;
  await server.daemon.sweep();
  assert.equal(server.audited.filter(({ what }) => what === 'session_ended').length, 1);
});

test('a daemon that is started again and again ends no more overdue sessions than one that runs', async (t) => {
  const { data, home } = await place(t);
  const clock = { atMs: Date.now() };
  const now = () => clock.atMs;
  {
    await using server = await startDaemon(data, { now });
    const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
    await register(who);
    for (let n = 0; n < 2; n += 1) await login(who);
  }
  clock.atMs += 31 * 24 * 3_600_000;
  const lapsedIn = async (pauseMs: number): Promise<number> => {
    await using server = await startDaemon(data, { now });
    clock.atMs += pauseMs;
    await server.daemon.sweep();
    return server.audited.filter(({ what }) => what === 'session_ended').length;
  };
  assert.deepEqual([await lapsedIn(0), await lapsedIn(3_599_999), await lapsedIn(3_600_000)], [0, 0, 1]);
});
