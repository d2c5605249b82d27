import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { type AccountMethods, accountMethods } from '../Client/account_methods.ts';
import { type DeviceMethods, deviceMethods } from '../Client/device_methods.ts';
import { createHttp } from '../Client/http.ts';
import { cheapSessions } from '../Client/testing/auth_client.ts';
import { AppError } from '../Models/errors.ts';
import { ROUTES } from '../Models/routes.ts';
import { OwnTime } from '../Models/testing/processor_time.ts';
import { listen } from '../Server/listen.ts';
import { EventClient } from '../Server/testing/event_client.ts';
import { uploadOf } from '../Server/testing/form.ts';
import { openServer, type ServerFixture } from '../Server/testing/server_fixture.ts';

const { register, login } = cheapSessions;
const WHO = { username: 'alice', password: 'correct horse battery' };
const SOON_MS = 2000;

type Session = Awaited<ReturnType<typeof login>>;
type Device = DeviceMethods & AccountMethods & { readonly session: Session; get(route: string): Promise<unknown> };
type World = {
  readonly server: ServerFixture;
  readonly daemon: DaemonFixture;
  readonly base: string;
  device(name: string): Promise<Device>;
};

/** The server looks for a key that it does not know once a second. */
async function untilTrusted(ask: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (
    await ask().then(
      () => false,
      (error: AppError) => error.code === 'ticket_invalid',
    )
  ) {
    assert.ok(performance.now() < deadline, 'the daemon’s key is not found');
    await sleep(20);
  }
}

/** A daemon and a server on one data folder; devices that log in as alice. */
async function world(t: TestContext): Promise<World> {
  const server = await openServer();
  const base = await listen(server.app, { host: '127.0.0.1', port: 0 });
  const daemon = await startDaemon(server.folder, { place: { httpPort: 0, publicUrl: base, pins: () => [] } });
  const closers: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closers) await close();
    await daemon[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  const options = (name: string) => ({ ...WHO, auth: daemon.address, home: join(server.folder, `home of ${name}`) });
  await register(options('nobody'));
  return {
    server,
    daemon,
    base,
    async device(name) {
      const session = await login({ ...options(name), deviceName: name });
      const http = createHttp({ baseUrl: base, ticket: () => session.ticket(), refresh: () => session.refresh() });
      closers.push(() => http.close());
      await untilTrusted(() => http.json(null, 'GET', ROUTES.whoami));
      return { ...deviceMethods(http, session), ...accountMethods(http, session), session, get: (route) => http.json(null, 'GET', route) };
    },
  };
}

async function refusedSince(time: OwnTime, ask: () => Promise<unknown>): Promise<{ error: AppError; ms: number }> {
  for (;;) {
    try {
      await ask();
    } catch (error) {
      assert.ok(error instanceof AppError);
      return { error, ms: time.ms };
    }
    assert.ok(time.ms < 10_000, 'it is still let in');
    await sleep(10);
  }
}

/** A long download, taken so slowly that it is far from its end for seconds, and fast from `hurry` on; and when it broke off. */
function slowDownload(base: string, ticket: string): { begun: Promise<void>; broken: Promise<void>; hurry(): void } {
  const begun = Promise.withResolvers<void>();
  const broken = Promise.withResolvers<void>();
  const hurried = new AbortController();
  const request = httpRequest(`${base}${ROUTES.files}?path=/long.bin`, { agent: false, headers: { authorization: `Bearer ${ticket}` } });
  request.on('response', (answer: IncomingMessage) => {
    answer.on('data', () => {
      begun.resolve();
      if (hurried.signal.aborted) return;
      answer.pause();
      void sleep(20, undefined, hurried).then(
        () => answer.resume(),
        () => answer.resume(),
      );
    });
    answer.on('error', () => undefined);
    answer.on('close', () => (answer.complete ? broken.reject(new Error('it came whole')) : broken.resolve()));
  });
  request.on('error', begun.reject);
  request.end();
  return { begun: begun.promise, broken: broken.promise, hurry: () => hurried.abort() };
}

test('a revoked device is out within two seconds: requests, a download and an event connection under way; of a renewal at once', async (t) => {
  const { server, base, daemon, device } = await world(t);
  const [kept, lost] = [await device('desk'), await device('phone')];
  const { user } = lost.session;
  const ticket = await lost.session.ticket();
  const asUser = { id: user.id, name: user.name, sessionId: lost.session.sessionId, ticket };
  assert.equal((await server.ask(asUser, uploadOf('/long.bin', randomBytes(24 * 1024 * 1024)))).status, 200);
  for (const one of [kept, lost]) await one.get(ROUTES.whoami); // each is seen
  const download = slowDownload(base, ticket);
  await download.begun;
  using events = new EventClient(base, ticket, 'now');
  await events.until(({ type }) => type === 'connected');

  const { deviceId } = lost.session;
  await kept.revokeDevice(deviceId);
  using time = new OwnTime();
  await assert.rejects(lost.session.refresh(), { code: 'session_unknown', reason: 'revoked', message: /revoked from another place/ });
  assert.ok(time.ms < 500);
  const [plain, brokenMs, closed] = await Promise.all([
    refusedSince(time, () => lost.get(ROUTES.whoami)).finally(download.hurry), // what is on its way already need not be waited for
    download.broken.then(() => time.ms),
    events.closed.then((how) => ({ ...how, ms: time.ms })),
  ]);
  assert.deepEqual([plain.error.code, plain.error.reason], ['ticket_revoked', 'revoked']);
  assert.match(plain.error.message, /revoked from another place/);
  assert.deepEqual([closed.code, closed.reason], [1008, 'ticket_revoked']);
  const measured = { plain: plain.ms, download: brokenMs, events: closed.ms };
  t.diagnostic(JSON.stringify(measured));
  for (const [what, ms] of Object.entries(measured)) assert.ok(ms < SOON_MS, `${what} after ${ms} ms`);

  await kept.get(ROUTES.whoami);
  const listed = (await kept.devices()).map(({ name, signedIn, revokedAt, own }) => ({ name, signedIn, revoked: revokedAt !== null, own }));
  assert.deepEqual(
    new Set(listed),
    new Set([
      { name: 'desk', signedIn: true, revoked: false, own: true },
      { name: 'phone', signedIn: false, revoked: true, own: false },
    ]),
  );
  assert.equal((await device('phone')).session.deviceId, deviceId); // with the password it comes back
  assert.equal((await daemon.accounts.listDevices(user.id)).find((one) => one.deviceId === deviceId)?.signedIn, true);
});

test('one session is ended by its id, with the reason, and the others of its device stay', async (t) => {
  const { device } = await world(t);
  const [desk, phone] = [await device('desk'), await device('phone')];
  const other = await device('phone');
  const sessions = await desk.sessions();
  assert.deepEqual(
    new Set(sessions.map(({ id, deviceName, own }) => `${id} ${deviceName} ${own}`)),
    new Set([`${desk.session.sessionId} desk true`, `${phone.session.sessionId} phone false`, `${other.session.sessionId} phone false`]),
  );
  await desk.endSession(phone.session.sessionId);
  await assert.rejects(phone.session.refresh(), { code: 'session_unknown', reason: 'revoked' });
  await other.session.refresh();
  assert.equal((await desk.sessions()).length, 2);
  const gone = await device('gone');
  await gone.session.logout();
  await assert.rejects(gone.session.refresh(), { code: 'session_unknown', reason: 'logout' });
  await desk.revokeDevice(gone.session.deviceId);
  await assert.rejects(gone.session.refresh(), { code: 'session_unknown', reason: 'revoked' }, 'whatever ended it first');
  await assert.rejects(desk.endSession(phone.session.sessionId), { code: 'not_found' });
  await assert.rejects(desk.revokeDevice('0'.repeat(32)), { code: 'not_found' });
  await assert.rejects(desk.renameDevice(desk.session.deviceId, '\u202e'), { code: 'name_invalid' });
  await desk.renameDevice(phone.session.deviceId, 'kitchen');
  assert.deepEqual((await desk.devices()).map(({ name }) => name).sort(), ['desk', 'gone', 'kitchen']);
});

test('what a user is called and their address are set on any device, if they are one line each, and are in no audit', async (t) => {
  const { device, daemon, server } = await world(t);
  const [one, other] = [await device('one'), await device('other')];
  assert.deepEqual(await one.profile(), { user: 'alice', displayName: null, email: null });
  const whole = { user: 'alice', displayName: 'Zoë Smith', email: 'zoe@example.org' };
  assert.deepEqual(await one.setProfile({ displayName: ' Zoe\u0308 Smith', email: 'zoe@example.org ' }), whole);
  assert.deepEqual(await other.profile(), whole);
  assert.deepEqual(await other.setProfile({ displayName: null }), { ...whole, displayName: null });
  await assert.rejects(one.setProfile({ displayName: 'x', email: 'no address' }), { code: 'request_invalid' });
  // nor is it taken from a client that does not look
  await assert.rejects(one.session.change({ kind: 'setEmail', email: 'no address' }), { code: 'request_invalid' });
  await assert.rejects(one.session.change({ kind: 'setDisplayName', displayName: 'two\nlines' }), { code: 'request_invalid' });
  assert.deepEqual(await one.profile(), { ...whole, displayName: null });
  const audited = daemon.audited.filter(({ what }) => what === 'profile_changed');
  assert.deepEqual(
    audited.map(({ result, detail }) => [result, detail]),
    [
      ['ok', 'setDisplayName'],
      ['ok', 'setEmail'],
      ['ok', 'setDisplayName'],
      ['request_invalid', 'setEmail'],
      ['request_invalid', 'setDisplayName'],
    ],
  );
  assert.doesNotMatch(JSON.stringify([daemon.audited, server.logged]), /example\.org|Smith/);
});
