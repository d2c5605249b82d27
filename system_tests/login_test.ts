import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { lossyLink } from '../Authentication/testing/lossy_link.ts';
import {
  type BareClient,
  cheapSessions,
  directExchange,
  fingerprintOf,
  makeInvite,
  openBareClient,
  strictSessions,
} from '../Client/testing/auth_client.ts';
import { KSF_DEFAULT } from '../Models/datagram_fields.ts';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { shareOfThread } from '../Models/testing/processor_time.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { SESSION } from '../Models/ticket.ts';
import { freePort } from '../processes.ts';
import type { Accounts } from '../Storage/accounts.ts';

const { register, login, resume } = cheapSessions;
const PASSWORD = 'correct horse battery';

type Place = { readonly data: string; readonly home: string };
async function place(t: TestContext): Promise<Place> {
  const folder = await temporaryFolder(t);
  return { data: join(folder, 'data'), home: join(folder, 'home') };
}

async function refused(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error: unknown) => error instanceof AppError && error.code === code, code);
}

const ended = async (accounts: Accounts): Promise<string[]> => (await accounts.endedSessions(0)).map(({ id }) => id);

test('register, log in, renew, resume and log out; the profile is private and forgets a session that was logged out', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const who = { auth: server.address, username: 'Alice', password: PASSWORD, home };
  await register(who);
  await refused(resume({ home }), 'not_logged_in');
  const session = await login(who);
  assert.equal(session.user.name, 'alice');
  assert.equal(session.serverUrl, 'http://127.0.0.1:4811');
  assert.equal((await server.accounts.session(session.sessionId))?.state, 'live');
  assert.equal((await stat(join(home, 'profile.json'))).mode & 0o777, 0o600);
  assert.equal((await stat(home)).mode & 0o777, 0o700);
  assert.ok(!(await readFile(join(home, 'profile.json'), 'utf8')).includes(PASSWORD));

  const again = await resume({ home, auth: server.address, username: 'ALICE' });
  assert.equal(await again.ticket(), await session.ticket());
  const claims = JSON.parse(Buffer.from((await again.refresh()).split('.')[1] ?? '', 'base64url').toString());
  assert.deepEqual([claims.sid, claims.dev, claims.sub, claims.name], [session.sessionId, session.deviceId, session.user.id, 'alice']);
  assert.deepEqual(await ended(server.accounts), []);

  await again.logout();
  assert.deepEqual(await ended(server.accounts), [session.sessionId]);
  await refused(resume({ home }), 'not_logged_in');
  await refused(session.refresh(), 'session_unknown');
  await session.logout(); // once more is no error
});

test('a wrong password and an unknown user are refused alike: same code, same datagrams', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  await using link = await lossyLink({ target: server.address });
  await register({ auth: server.address, username: 'alice', password: PASSWORD, home });
  const seen: string[] = [];
  link.onDatagram((bytes, way) => void seen.push(`${way} ${bytes[3]} ${bytes.length}`));
  await refused(login({ auth: link.address, username: 'alice', password: 'not the password', home }), 'credentials_wrong');
  const wrongPassword = seen.splice(0);
  await refused(login({ auth: link.address, username: 'nobody', password: PASSWORD, home }), 'credentials_wrong');
  assert.deepEqual(seen, wrongPassword);
  assert.deepEqual(seen, ['up 1 1200', 'down 129 68', 'up 1 1200', `down 130 634`]);
  await refused(login({ auth: server.address, username: 'alice', password: 'short', home }), 'credentials_wrong');
});

test('a disabled user is refused like an unknown one, and its sessions end', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  const session = await login(who);
  await server.accounts.setDisabled(session.user.id, true, Date.now());
  await using link = await lossyLink({ target: server.address });
  const seen: (number | undefined)[] = [];
  link.onDatagram((bytes) => void seen.push(bytes[3]));
  await refused(login({ ...who, auth: link.address }), 'credentials_wrong');
  assert.deepEqual(seen, [0x01, 0x81, 0x01, 0x82]); // as for a wrong password: no FINISH
  await refused(session.refresh(), 'session_unknown');
  assert.deepEqual(await ended(server.accounts), [session.sessionId]);
});

test('a password or name typed in another Unicode form is the same one', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const auth = server.address;
  await register({ auth, username: 'Zoë', password: 'crème brûlée'.normalize('NFC'), home });
  const session = await login({ auth, username: 'ZOE\u0308', password: 'cre\u0300me bru\u0302le\u0301e'.replace(' ', '\u00a0'), home });
  assert.equal(session.user.name, 'zoë');
  await register({ auth, username: 'Straße', password: PASSWORD, home });
  assert.equal((await login({ auth, username: 'STRASSE', password: PASSWORD, home })).user.name, 'straße');
});

test('a taken name, a short password and an impossible name are refused at registration', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const who = { auth: server.address, username: 'strasse', password: PASSWORD, home };
  await register(who);
  await refused(register(who), 'name_taken');
  await refused(register({ ...who, username: 'Straße' }), 'name_taken');
  await refused(register({ ...who, username: 'bob', password: 'short' }), 'request_invalid');
  await refused(register({ ...who, username: 'bob', password: 'lone surrogate \ud800' }), 'request_invalid');
  await refused(register({ ...who, username: 'two words' }), 'name_invalid');
});

test('while the password is stretched the event loop goes on', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data, { ksf: KSF_DEFAULT });
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await strictSessions.register(who);
  const share = await shareOfThread(async () => (await strictSessions.login(who)).close());
  assert.ok(share < 0.25, `${share} of the work is done where the loop is`);
});

test('a daemon that asks for weak stretching of the password is refused', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await refused(strictSessions.register(who), 'protocol_mismatch');
});

test('renewal works after the daemon was restarted and the client slept for three days, and ends after thirty', async (t) => {
  const { data, home } = await place(t);
  const port = await freePort('udp');
  const clock = { atMs: Date.now() };
  const now = (): number => clock.atMs;
  let server: DaemonFixture = await startDaemon(data, { port, now });
  t.after(() => server[Symbol.asyncDispose]());
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  const session = await login(who);
  const first = await session.ticket();
  await server[Symbol.asyncDispose]();
  clock.atMs += 3 * 24 * 3600 * 1000;
  server = await startDaemon(data, { port, now });
  assert.notEqual(await session.refresh(), first);
  clock.atMs += 29 * 24 * 3600 * 1000; // thirty days begin anew with each renewal
  await session.refresh();
  clock.atMs += SESSION.lifetimeS * 1000 + 1;
  await server.daemon.sweep();
  await refused(session.refresh(), 'session_unknown');
  assert.deepEqual(await ended(server.accounts), [session.sessionId]);
});

test('a ticket that nobody acknowledged lapses after a minute and is then known as ended', async (t) => {
  const { data } = await place(t);
  const clock = { atMs: Date.now() };
  await using server = await startDaemon(data, { now: () => clock.atMs });
  await using link = await lossyLink({ target: server.address, drop: (bytes) => bytes[3] === 0x05 });
  await using client = openBareClient();
  const direct = await client.exchange(server.address);
  const through = await client.exchange(link.address);
  t.after(() => {
    direct.close();
    through.close();
  });
  await client.register(direct, { username: 'alice', password: PASSWORD });
  const acked = new Promise<void>((seen) => link.onDatagram((bytes) => void (bytes[3] === 0x05 && seen())));
  const losing = refused(client.login(through, { username: 'alice', password: PASSWORD }), 'cancelled');
  await acked;
  clock.atMs += SESSION.unacknowledgedS * 1000;
  await server.daemon.sweep();
  assert.deepEqual(await ended(server.accounts), []);
  clock.atMs += 1;
  await server.daemon.sweep();
  assert.equal((await ended(server.accounts)).length, 1);
  through.close();
  await losing;
});

test('a ticket near its end is renewed once for all who ask, and by one process for the others, also when the daemon comes back late', async (t) => {
  const { data, home } = await place(t);
  const port = await freePort('udp');
  const server = await startDaemon(data, { port });
  t.after(() => server[Symbol.asyncDispose]());
  await using link = await lossyLink({ target: server.address });
  const renewals = new Set<string>(); // one that is asked for again, where the machine is slow, is answered with the same bytes
  link.onDatagram((bytes) => {
    if (bytes[3] === 0x85) renewals.add(bytes.toString('hex'));
  });
  const who = { auth: link.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  const first = await login(who).then((session) => session.ticket());
  const leave = async (ms: number): Promise<void> => {
    const path = join(home, 'profile.json');
    const profile = JSON.parse(await readFile(path, 'utf8'));
    const [stored] = profile.sessions;
    stored.ticketExpiresAtMs = Date.now() + stored.clockOffsetMs + ms;
    await writeFile(path, JSON.stringify(profile));
  };
  await leave(59_000);
  const [one, other] = [await resume({ home }), await resume({ home })];
  await sleep(1100 - (Date.now() % 1000)); // another second, so that a renewed ticket differs
  const tickets = await Promise.all(Array.from({ length: 20 }, () => one.ticket()));
  assert.equal(new Set(tickets).size, 1);
  assert.notEqual(tickets[0], first);
  assert.equal(await other.ticket(), tickets[0]);
  assert.equal(renewals.size, 2); // the login's and one more: the other took the ticket from the profile

  await leave(40_000);
  const early = await resume({ home });
  await leave(-1);
  const late = await resume({ home });
  await server[Symbol.asyncDispose]();
  const begun = performance.now();
  assert.equal(await early.ticket(), tickets[0]); // good for 40 s more, and nobody waits that long
  assert.ok(performance.now() - begun < 15_000);
  const back = sleep(500).then(() => startDaemon(data, { port }));
  t.after(async () => (await back)[Symbol.asyncDispose]());
  assert.notEqual(await late.ticket(), tickets[0]); // the daemon came back in time
});

test('a daemon restarted between CHALLENGE and FINISH costs one repeat', async (t) => {
  const { data, home } = await place(t);
  const port = await freePort('udp');
  let server = await startDaemon(data, { port });
  t.after(() => server[Symbol.asyncDispose]());
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  await using link = await lossyLink({ target: server.address });
  let restarting: Promise<void> | null = null;
  link.onDatagram((bytes) => {
    if (bytes[3] !== 0x82 || restarting !== null) return;
    restarting = Promise.resolve(server[Symbol.asyncDispose]()).then(async () => {
      server = await startDaemon(data, { port });
    });
  });
  const session = await login({ ...who, auth: link.address });
  assert.notEqual(restarting, null);
  assert.equal((await server.accounts.session(session.sessionId))?.state, 'live');
});

test('a registration whose answer was lost with the daemon succeeds all the same', async (t) => {
  const { data, home } = await place(t);
  const port = await freePort('udp');
  let server = await startDaemon(data, { port });
  t.after(() => server[Symbol.asyncDispose]());
  let restarting: Promise<void> | null = null;
  const isLost = (bytes: Buffer): boolean => bytes[3] === 0x84 && restarting === null;
  const drop = (bytes: Buffer): boolean => {
    if (!isLost(bytes)) return false;
    restarting = Promise.resolve(server[Symbol.asyncDispose]()).then(async () => {
      server = await startDaemon(data, { port });
    });
    return true;
  };
  await using link = await lossyLink({ target: server.address, drop });
  await register({ auth: link.address, username: 'alice', password: PASSWORD, home });
  assert.notEqual(restarting, null);
  await login({ auth: link.address, username: 'alice', password: PASSWORD, home });
});

test('a daemon that starts a second late is still reached: a refused port is only a hint', async (t) => {
  const { data, home } = await place(t);
  const port = await freePort('udp');
  const registering = register({ auth: `127.0.0.1:${port}`, username: 'alice', password: PASSWORD, home });
  await sleep(300); // the first datagram meets a closed port
  await using server = await startDaemon(data, { port });
  await registering;
  assert.equal((await server.accounts.findUser('alice'))?.name, 'alice');
});

test('another daemon at the known address is a hard stop, before anything of the password is sent', async (t) => {
  const { data, home } = await place(t);
  const port = await freePort('udp');
  const who = { auth: `127.0.0.1:${port}`, username: 'alice', password: PASSWORD, home };
  const first = await startDaemon(data, { port });
  t.after(() => first[Symbol.asyncDispose]());
  await register(who);
  const session = await login(who);
  await first[Symbol.asyncDispose]();
  await using impostor = await startDaemon(join(data, 'other'), { port });
  await register({ ...who, home: join(home, 'other') });
  await using link = await lossyLink({ target: impostor.address });
  const profile = join(home, 'profile.json');
  await writeFile(profile, (await readFile(profile, 'utf8')).replaceAll(who.auth, link.address));
  const sent: (number | undefined)[] = [];
  link.onDatagram((bytes, way) => void (way === 'up' && sent.push(bytes[3])));
  await refused(login({ ...who, auth: link.address }), 'server_key_changed');
  assert.deepEqual(sent, [1]); // the empty HELLO alone
  const there = await resume({ home });
  await refused(register({ ...who, auth: link.address, username: 'bob' }), 'server_key_changed');
  assert.equal(there.sessionId, session.sessionId);
});

test('a daemon with the right box key but another OPAQUE setup gets no FINISH, not even if it knows the password', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  const file = (folder: string): string => join(folder, 'auth', 'secrets.json');
  const secretsIn = async (folder: string) => JSON.parse(await readFile(file(folder), 'utf8'));
  for (const [n, password, code] of [
    [1, PASSWORD, 'server_key_changed'],
    [2, 'another password', 'credentials_wrong'],
  ] as const) {
    const folder = join(data, `impostor${n}`);
    await (await startDaemon(folder))[Symbol.asyncDispose](); // makes a setup of its own
    const { boxKey } = await secretsIn(data);
    await writeFile(file(folder), JSON.stringify({ ...(await secretsIn(folder)), boxKey }));
    await using impostor = await startDaemon(folder);
    await register({ ...who, auth: impostor.address, password, home: join(home, `${n}`) });
    await using link = await lossyLink({ target: impostor.address });
    const sent: (number | undefined)[] = [];
    link.onDatagram((bytes, way) => void (way === 'up' && sent.push(bytes[3])));
    const profile = join(home, 'profile.json');
    const text = await readFile(profile, 'utf8');
    await writeFile(profile, text.replaceAll(server.address, link.address));
    await refused(login({ ...who, auth: link.address }), code);
    assert.deepEqual(sent, [1, 1], code);
    await writeFile(profile, text);
  }
});

test('at first contact the key of the daemon is shown, whoever it is, and not again once it is kept', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const key = `SHA256:${hash('sha256', server.secrets.boxPublicKey, 'base64').replace(/=$/, '')}`;
  const shown: string[] = [];
  const onFirstContact = (fingerprint: string): boolean => shown.push(fingerprint) > 0;
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home, onFirstContact };
  await refused(login(who), 'credentials_wrong');
  assert.deepEqual(shown.splice(0), [key]);
  await register(who);
  assert.deepEqual(shown.splice(0), [key]);
  await login(who);
  await register({ ...who, username: 'bob' });
  assert.deepEqual(shown, []);
});

/** A code of this daemon, as the administrator gives it, for registering through `auth`. */
async function inviteFor({ accounts, secrets }: DaemonFixture, auth: string): Promise<string> {
  const secret = randomBytes(16);
  const code = { usesLeft: 1, expiresAtMs: Date.now() + 60_000, quotaBytes: null, label: null, madeBy: 'root', madeAtMs: Date.now() };
  await accounts.addInviteCode({ ...code, digest: hash('sha256', secret, 'buffer') });
  return makeInvite({ auth, key: fingerprintOf(secrets.boxPublicKey), secret });
}

test('a code says where to register and whom to expect there; another daemon there is a hard stop before anything is sent to it', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data, { registration: 'invite' });
  await using impostor = await startDaemon(join(data, 'other'), { registration: 'open' });
  const who = { username: 'alice', password: PASSWORD, home };
  await refused(register({ ...who, auth: server.address }), 'registration_closed');
  await using link = await lossyLink({ target: impostor.address });
  const sent: (number | undefined)[] = [];
  link.onDatagram((bytes, way) => void (way === 'up' && sent.push(bytes[3])));
  await refused(register({ ...who, invite: await inviteFor(server, link.address) }), 'server_key_changed');
  assert.deepEqual(sent, [1]); // the empty HELLO alone
  assert.equal(await impostor.accounts.hasAccounts(), false);

  const invite = await inviteFor(server, server.address);
  await refused(register({ ...who, invite: `${invite.slice(0, -1)}x` }), 'invite_malformed');
  const asked: string[] = [];
  const onFirstContact = (key: string): boolean => asked.push(key) < 0;
  assert.equal(await register({ ...who, invite, onFirstContact, auth: '127.0.0.1:1' }), server.address);
  assert.deepEqual(asked, []); // the code has said it
  await refused(register({ ...who, username: 'bob', invite }), 'invite_invalid');
  assert.equal((await login({ ...who, auth: server.address })).user.name, 'alice'); // the key is kept
});

test('an expected key is compared before anything is sent, also with one that is kept', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const key = fingerprintOf(server.secrets.boxPublicKey);
  const other = fingerprintOf(randomBytes(32));
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await refused(register({ ...who, expectedKey: other }), 'server_key_changed');
  assert.equal(await server.accounts.hasAccounts(), false);
  await refused(register({ ...who, onFirstContact: async () => false }), 'server_key_unknown');
  await register({ ...who, expectedKey: key });
  await refused(login({ ...who, expectedKey: other }), 'server_key_changed');
  await login({ ...who, expectedKey: key });
});

test('a daemon elsewhere is told nothing until somebody has said that its key is the right one', async (t) => {
  const { data } = await place(t);
  await using server = await startDaemon(data, { registration: 'open' });
  await using client = openBareClient();
  const key = fingerprintOf(server.secrets.boxPublicKey);
  const kinds: (number | undefined)[] = [];
  const exchange = {
    ...directExchange((up) => {
      kinds.push(up[3]);
      return server.daemon.receive(up, { address: '192.0.2.7', port: 5 });
    }),
    loopback: false,
  };
  const who = { username: 'alice', password: PASSWORD };
  const asked: unknown[] = [];
  const table: readonly [contact: NonNullable<Parameters<BareClient['register']>[2]>, code: ErrorCode | null][] = [
    [{}, 'server_key_unknown'],
    [{ onFirstContact: () => false }, 'server_key_unknown'],
    [{ expectedKey: fingerprintOf(randomBytes(32)), onFirstContact: () => true }, 'server_key_changed'],
    [{ expectedKey: key, onFirstContact: () => false }, null],
    [{ onFirstContact: (shown, at) => asked.push([shown, at]) > 0 }, null],
  ];
  for (const [n, [contact, code]] of table.entries()) {
    kinds.length = 0;
    const work = client.register(exchange, { ...who, username: `user${n}` }, contact);
    if (code === null) await work;
    else await refused(work, code);
    assert.deepEqual(kinds, code === null ? [1, 2, 1, 3] : [1], `${n}`);
  }
  assert.deepEqual(asked, [[key, { loopback: false }]]);
});

test('an overloaded daemon says when to come back, and the client does', async (t) => {
  const { data, home } = await place(t);
  const clock = { atMs: Date.now() };
  await using server = await startDaemon(data, { rate: { perSecond: 4, burst: 1 }, now: () => clock.atMs });
  await using link = await lossyLink({ target: server.address });
  let busy = 0;
  link.onDatagram((bytes) => {
    if (bytes[3] !== 0x88) return;
    busy += 1;
    clock.atMs += 250;
  });
  const who = { auth: link.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  await login(who);
  await login(who);
  assert.ok(busy > 0);
});

test('a login beyond the limit is told when a place may become free, and the same device takes its own', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data, { sessionRules: { idleMs: null, max: 2, maxPerUser: 1 } });
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  await register({ ...who, username: 'bob' });
  const first = await login(who);
  const elsewhere = { ...who, home: join(home, 'elsewhere') };
  const begun = performance.now();
  await assert.rejects(login(elsewhere), (error: AppError) => {
    assert.deepEqual([error.code, Math.round((error.retryAfterMs ?? 0) / 60_000)], ['busy', SESSION.lifetimeS / 60]);
    return /^there is no place for one more session; one may become free in 30 days/.test(error.message);
  });
  assert.ok(performance.now() - begun < 15_000); // nobody waits that long
  await refused(login({ ...elsewhere, password: 'not the password' }), 'credentials_wrong'); // whether there is a place is told to none but the user
  const again = await login(who);
  await assert.rejects(first.refresh(), { code: 'session_unknown', reason: 'replaced' });
  await again.logout();
  await login(elsewhere);
  await login({ ...who, username: 'bob' });
  await refused(login({ ...who, username: 'bob', home: join(home, 'third') }), 'busy');
  assert.ok(server.audited.some(({ what, result, userName }) => what === 'login' && result === 'busy' && userName === 'bob'));
});

test('a damaged profile is named, and nothing of it is shown', async (t) => {
  const { data, home } = await place(t);
  await using server = await startDaemon(data);
  const who = { auth: server.address, username: 'alice', password: PASSWORD, home };
  await register(who);
  await writeFile(join(home, 'profile.json'), '{"secret":"hush');
  await assert.rejects(
    resume({ home }),
    (error: AppError) => error.code === 'local_io' && !`${error.stack}${error.cause}`.includes('hush'),
  );
});
