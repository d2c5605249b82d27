import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { lossyLink } from '../Authentication/testing/lossy_link.ts';
import { type BareClient, cheapSessions, directExchange, openBareClient } from '../Client/testing/auth_client.ts';
import { parseServer } from '../Models/datagrams.ts';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';

const SOURCE = { address: '192.0.2.7', port: 5 };
const OLD = 'correct horse battery';
const NEW = 'staple of a new kind';
const CHANGE = { current: OLD, next: NEW };
const NEW_PASSWORD = 0x08;
const CHANGE_PASSWORD = 0x09;

type Deliver = (datagram: Uint8Array) => Promise<Uint8Array | null>;
type World = { readonly client: BareClient; server: DaemonFixture; restart(): Promise<void> };

async function world(t: TestContext, options: Parameters<typeof startDaemon>[1] = {}): Promise<World> {
  const folder = await temporaryFolder(t);
  const rules = { registration: 'open' as const, ...options };
  const client = openBareClient();
  const there: World = {
    client,
    server: await startDaemon(folder, rules),
    async restart() {
      await there.server[Symbol.asyncDispose]();
      there.server = await startDaemon(folder, rules);
    },
  };
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await there.server[Symbol.asyncDispose]();
  });
  return there;
}

const kindOf = (bytes: Uint8Array): number => bytes[3] ?? 0;
const deliverTo =
  (there: World): Deliver =>
  (up) =>
    there.server.daemon.receive(up, SOURCE);

/** Says a datagram again until its answer is believed, as a client does. */
function patient(deliver: Deliver): ReturnType<typeof directExchange> {
  return {
    ...directExchange(deliver),
    async request(datagram, accept) {
      for (let n = 0; n < 4; n += 1) {
        const bytes = await deliver(datagram);
        const reply = bytes === null ? null : parseServer(bytes);
        const result = bytes === null || reply === null ? null : accept(reply, bytes);
        if (result !== null) return result;
      }
      throw new AppError('auth_unreachable', 'no answer');
    },
  };
}

async function loggedIn(there: World, username = 'alice') {
  const exchange = directExchange(deliverTo(there));
  await there.client.register(exchange, { username, password: OLD });
  return there.client.login(exchange, { username, password: OLD });
}

/** Which of the two passwords opens the account. */
async function holds(there: World, username = 'alice'): Promise<'old' | 'new' | 'both' | 'none'> {
  const opens = (password: string): Promise<boolean> =>
    there.client.login(directExchange(deliverTo(there)), { username, password }).then(
      () => true,
      (error: unknown) => {
        assert.ok(error instanceof AppError && error.code === 'credentials_wrong', String(error));
        return false;
      },
    );
  const [old, next] = [await opens(OLD), await opens(NEW)];
  return old && next ? 'both' : old ? 'old' : next ? 'new' : 'none';
}

async function refused(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error: unknown) => error instanceof AppError && error.code === code, code);
}

test('a changed password is the only one; other sessions end for that reason, the own one goes on', async (t) => {
  const folder = await temporaryFolder(t);
  await using server = await startDaemon(join(folder, 'data'));
  const { register, login, changePassword } = cheapSessions;
  const who = { auth: server.address, username: 'alice', password: OLD, home: join(folder, 'home') };
  await register(who);
  const [here, elsewhere] = [await login(who), await login({ ...who, home: join(folder, 'elsewhere') })];
  await changePassword(here, CHANGE);
  await refused(login(who), 'credentials_wrong');
  await here.refresh();
  await refused(elsewhere.refresh(), 'session_unknown');
  const ended = await server.accounts.endedSessions(0);
  assert.deepEqual(
    ended.map(({ id, reason }) => [id, reason]),
    [[elsewhere.sessionId, 'password_changed']],
  );
  const again = await login({ ...who, password: NEW, home: join(folder, 'elsewhere') });
  await changePassword(here, { current: NEW, next: OLD, keepOtherSessions: true });
  await again.refresh();
  await login(who);
});

test('at a prompt both go on, the session of the prompt and the device’s that it was begun from', async (t) => {
  const folder = await temporaryFolder(t);
  await using server = await startDaemon(join(folder, 'data'));
  const { register, login, changePassword } = cheapSessions;
  const who = { auth: server.address, username: 'alice', password: OLD, home: join(folder, 'home') };
  await register(who);
  const device = await login(who);
  const elsewhere = await login({ ...who, home: join(folder, 'elsewhere') });
  const prompt = await device.atPrompt();
  await changePassword(prompt, CHANGE);
  await Promise.all([prompt.refresh(), device.refresh()]);
  await refused(elsewhere.refresh(), 'session_unknown');
});

test('without the current password, or with one that cannot be, nothing is changed and nothing more is said', async (t) => {
  const there = await world(t);
  const me = await loggedIn(there);
  const kinds: number[] = [];
  const exchange = directExchange((up) => {
    kinds.push(kindOf(up));
    return deliverTo(there)(up);
  });
  await refused(there.client.changePassword(exchange, me, { current: 'not this one', next: NEW }), 'credentials_wrong');
  assert.deepEqual(kinds.splice(0), [1, 1]);
  await refused(there.client.changePassword(exchange, me, { current: OLD, next: 'short' }), 'request_invalid');
  assert.deepEqual(kinds, []);
  assert.equal(await holds(there), 'old');
});

test('a daemon that was never met gets no password change, and one with another key no word of it', async (t) => {
  const there = await world(t);
  const me = await loggedIn(there);
  const kinds: number[] = [];
  const exchange = directExchange((up) => {
    kinds.push(kindOf(up));
    return deliverTo(there)(up);
  });
  await refused(there.client.changePassword(exchange, { ...me, pins: null }, CHANGE), 'server_key_unknown');
  assert.deepEqual(kinds, []);
  const other = Buffer.alloc(32, 1).toString('base64url');
  await refused(there.client.changePassword(exchange, { ...me, pins: { ...me.pins, key: other } }, CHANGE), 'server_key_changed');
  assert.deepEqual(kinds.splice(0), [1]);
  await refused(there.client.changePassword(exchange, { ...me, pins: { ...me.pins, opaqueKey: other } }, CHANGE), 'server_key_changed');
  assert.deepEqual(kinds, [1, 1]);
  assert.equal(await holds(there), 'old');
});

test('the daemon is restarted before or after any datagram of it, its answer lost: the change is made all the same', async (t) => {
  const there = await world(t);
  for (const [at, lost] of [0, 1, 2, 3].flatMap((n) => [[n, 'request'] as const, [n, 'answer'] as const])) {
    const username = `user${at}${lost}`;
    const me = await loggedIn(there, username);
    let said = 0;
    const exchange = patient(async (up) => {
      const isIt = said === at;
      said += 1;
      if (!isIt) return deliverTo(there)(up);
      if (lost === 'answer') await deliverTo(there)(up);
      await there.restart();
      return null;
    });
    await there.client.changePassword(exchange, me, CHANGE);
    assert.ok(said > 4, username);
    assert.equal(await holds(there, username), 'new', username);
  }
});

test('a client that is killed at any point leaves exactly one of the two passwords', async (t) => {
  const there = await world(t);
  const seen: string[] = [];
  for (let point = 0; point <= 8; point += 1) {
    const username = `user${point}`;
    const me = await loggedIn(there, username);
    let left = point;
    const stopping = directExchange(async (up) => {
      left -= 1; // before a datagram goes out, and before its answer comes in
      if (left < 0) throw new Error('killed');
      const down = await deliverTo(there)(up);
      left -= 1;
      if (left < 0) throw new Error('killed');
      return down;
    });
    await there.client.changePassword(stopping, me, CHANGE).catch((error: Error) => assert.match(error.message, /killed/));
    seen.push(await holds(there, username));
  }
  assert.deepEqual(seen, [...Array<string>(7).fill('old'), 'new', 'new']);
});

test('when no answer comes to the last word, the client says that it does not know', async (t) => {
  const there = await world(t);
  const me = await loggedIn(there);
  const silentFrom = (kind: number) => patient(async (up) => (kindOf(up) >= kind ? null : deliverTo(there)(up)));
  await assert.rejects(there.client.changePassword(silentFrom(NEW_PASSWORD), me, CHANGE), {
    code: 'auth_unreachable',
    message: 'no answer',
  });
  await assert.rejects(there.client.changePassword(silentFrom(CHANGE_PASSWORD), me, CHANGE), {
    code: 'auth_unreachable',
    message: /may have been changed/,
  });
});

test('what was said of a change changes nothing when it is said again, not even after a later change', async (t) => {
  const there = await world(t, { repliesMax: 0 });
  const me = await loggedIn(there);
  const captured: { up: Uint8Array; down: Uint8Array | null }[] = [];
  const exchange = directExchange(async (up) => {
    const down = await deliverTo(there)(up);
    captured.push({ up: Uint8Array.from(up), down });
    return down;
  });
  await there.client.changePassword(exchange, me, CHANGE);
  const first = captured.splice(0);
  const fresh = await there.client.login(exchange, { username: 'alice', password: NEW });
  const stateOf = async (): Promise<unknown> => [
    await there.server.accounts.findAccount('alice'),
    await there.server.accounts.endedSessions(0),
  ];
  const before = await stateOf();
  for (const { up, down } of first.filter(({ up }) => kindOf(up) >= NEW_PASSWORD)) assert.deepEqual(await deliverTo(there)(up), down);
  assert.deepEqual(await stateOf(), before);

  await there.client.changePassword(exchange, fresh, { current: NEW, next: 'a third one of them' });
  const later = await stateOf();
  for (const { up } of first) {
    const reply = await deliverTo(there)(up);
    if (kindOf(up) === CHANGE_PASSWORD) assert.equal(parseServer(reply ?? new Uint8Array(0))?.kind, 'error');
  }
  assert.deepEqual(await stateOf(), later);
});

test('a login that was begun with the old password cannot be finished after the change', async (t) => {
  const there = await world(t);
  const me = await loggedIn(there);
  let held: Uint8Array | null = null;
  const holding = directExchange(async (up) => {
    if (kindOf(up) !== 4) return deliverTo(there)(up);
    held = Uint8Array.from(up);
    return null;
  });
  await assert.rejects(there.client.login(holding, { username: 'alice', password: OLD }), /no believable answer/);
  await there.client.changePassword(directExchange(deliverTo(there)), me, CHANGE);
  assert.ok(held !== null);
  assert.equal(parseServer((await deliverTo(there)(held)) ?? new Uint8Array(0))?.kind, 'error');
  assert.equal((await there.server.accounts.listSessions(Buffer.from(me.grant.userId).toString('hex'))).length, 1);
});

test('no datagram holds the user name or a password, whatever is done', async (t) => {
  const folder = await temporaryFolder(t);
  await using server = await startDaemon(join(folder, 'data'));
  await using link = await lossyLink({ target: server.address });
  const sent: Buffer[] = [];
  link.onDatagram((bytes) => void sent.push(Buffer.from(bytes)));
  const { register, login, changePassword } = cheapSessions;
  const who = { auth: link.address, username: 'wilhelmina', password: OLD, home: join(folder, 'home') };
  await register(who);
  const session = await login({ ...who, deviceName: 'gardenhouse' });
  await session.refresh();
  await session.change({ kind: 'setEmail', email: 'letters@lighthouse.example' });
  await changePassword(session, CHANGE);
  await refused(login(who), 'credentials_wrong');
  await refused(login({ ...who, username: 'nobodyatall' }), 'credentials_wrong');
  await session.logout();
  assert.deepEqual(new Set(sent.map(kindOf)).size, 20);
  for (const secret of ['wilhelmina', 'nobodyatall', 'gardenhouse', 'letters@lighthouse', OLD, NEW]) {
    const forms = [
      secret,
      Buffer.from(secret).toString('base64'),
      Buffer.from(secret).toString('base64url'),
      Buffer.from(secret).toString('hex'),
    ];
    for (const bytes of sent)
      for (const form of forms) assert.ok(!bytes.toString('latin1').toLowerCase().includes(form.toLowerCase()), secret);
  }
});
