import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { lossyLink } from '../Authentication/testing/lossy_link.ts';
import { type BareClient, cheapSessions, openBareClient } from '../Client/testing/auth_client.ts';
import { encodeQuestion } from '../Models/carried.ts';
import { DATAGRAM, encodeAuthenticated, encodeClient, parseServer } from '../Models/datagrams.ts';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { OwnTime } from '../Models/testing/processor_time.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { type AuthCarrier, openAuthCarrier } from '../Server/auth_carrier.ts';
import { listen } from '../Server/listen.ts';
import { openServer } from '../Server/testing/server_fixture.ts';
import { openOwnIdentity } from '../Server/tls_identity.ts';
import { openCarrierKey } from '../Storage/carrier_key.ts';

/** The way in over HTTP: daemon, server and client as they are, on networks that lose UDP, all of it or half. */

const PASSWORD = 'correct horse battery';
const { register, login, resume } = cheapSessions;

type World = {
  readonly daemon: DaemonFixture;
  readonly carrier: AuthCarrier;
  readonly url: string;
  readonly hole: Hole;
  readonly folder: string;
  readonly home: string;
};
type Hole = { readonly address: string; readonly swallowed: Buffer[] };

/** A network that takes every datagram and gives none. */
async function blackHole(t: TestContext): Promise<Hole> {
  const socket = createSocket('udp4');
  const swallowed: Buffer[] = [];
  socket.on('message', (bytes) => swallowed.push(bytes));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, swallowed };
}

async function world(t: TestContext, options: Parameters<typeof startDaemon>[1] = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-no-udp-'));
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const daemon = stack.use(await startDaemon(join(folder, 'data'), options));
  const port = Number(daemon.address.split(':')[1]);
  const carrier = stack.adopt(
    openAuthCarrier({ host: '127.0.0.1', port }, () => openCarrierKey(join(folder, 'data'))),
    (open) => open.close(),
  );
  const tls = (dataFolder: string) => openOwnIdentity({ dataFolder, names: ['localhost'], now: Date.now });
  const server = stack.use(await openServer({ carrier, tls }));
  const url = await listen(server.app, { host: '127.0.0.1', port: 0 });
  return { daemon, carrier, url, hole: await blackHole(t), folder, home: join(folder, 'home') };
}

async function refused(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error: unknown) => error instanceof AppError && error.code === code, code);
}

test('where UDP vanishes login and renewal go over HTTP; after the first three seconds nothing waits for UDP any more', async (t) => {
  const { daemon, url, hole, home } = await world(t);
  await register({ auth: daemon.address, username: 'alice', password: PASSWORD, home });
  const who = { auth: hole.address, username: 'alice', password: PASSWORD, home, serverUrl: url };
  const fromMs = performance.now();
  const session = await login(who);
  const tookMs = performance.now() - fromMs;
  assert.ok(tookMs > 2900 && tookMs < 20_000, `${tookMs}`);
  assert.equal((await daemon.accounts.session(session.sessionId))?.state, 'live');
  const tried = hole.swallowed.length;
  assert.ok(tried >= 2, 'UDP was tried first');

  const profile = JSON.parse(await readFile(join(home, 'profile.json'), 'utf8'));
  assert.equal(profile.servers[hole.address].way, 'http');
  // This daemon told its clients of port 4811, where nobody is.
  const elsewhere = { ...profile, sessions: profile.sessions.map((one: object) => ({ ...one, serverUrl: url })) };
  await writeFile(join(home, 'profile.json'), JSON.stringify(elsewhere));
  const resumed = await resume({ home });
  using time = new OwnTime();
  assert.notEqual(await resumed.refresh(), '');
  assert.ok(time.ms < 2900);
  assert.equal(hole.swallowed.length, tried);
});

test('a logout over HTTP ends the session', async (t) => {
  const { daemon, url, hole } = await world(t);
  await using client = openBareClient();
  const direct = await client.exchange(daemon.address);
  await client.register(direct, { username: 'alice', password: PASSWORD });
  direct.close();
  const exchange = await client.exchange(hole.address, { serverUrl: url, patienceMs: 50 });
  t.after(() => exchange.close());
  const granted = await client.login(exchange, { username: 'alice', password: PASSWORD });
  assert.equal(exchange.way(), 'http');
  await client.renew(exchange, granted);
  await client.logout(exchange, granted);
  const id = Buffer.from(granted.grant.sessionId).toString('hex');
  assert.equal((await daemon.accounts.session(id))?.state, 'ended');
});

test('what comes over HTTP is not local, wherever it comes from: nobody registers that way without a code', async (t) => {
  const { url, hole, home } = await world(t);
  await refused(register({ auth: hole.address, username: 'mallory', password: PASSWORD, home, serverUrl: url }), 'registration_closed');
});

test('limits count the client, not the server that carries for it', async (t) => {
  const { daemon, carrier } = await world(t, { rate: { perSecond: 1e-6, burst: 1 } });
  const ask = async (address: string, cookie: Uint8Array) => {
    const hello = encodeAuthenticated('hello', randomBytes(16), { cookie, ephemeral: randomBytes(32) }, () => new Uint8Array(0));
    const reply = await carrier.carry(hello, address);
    return reply === null ? null : parseServer(reply);
  };
  const outcomes = async (address: string, times: number): Promise<unknown[]> => {
    const retry = await ask(address, new Uint8Array(16));
    assert.ok(retry?.kind === 'retry');
    const kinds: unknown[] = [];
    for (let n = 0; n < times; n += 1) kinds.push((await ask(address, retry.cookie))?.kind ?? 'silence');
    return kinds;
  };
  assert.deepEqual(await outcomes('192.0.2.1', 2), ['silence', 'busy']);
  assert.deepEqual(await outcomes('192.0.2.2', 1), ['silence']);
  assert.deepEqual(
    daemon.audited.filter(({ result }) => result === 'too_many_requests').map(({ address }) => address),
    ['192.0.2.1'],
  );
});

/** Over UDP: what comes over HTTP does not count as of this machine. */
async function registerAlice(client: BareClient, daemon: DaemonFixture): Promise<void> {
  const direct = await client.exchange(daemon.address);
  await client.register(direct, { username: 'alice', password: PASSWORD });
  direct.close();
}

test('where half of UDP is lost both ways are tried, the first reply counts, and no login makes two sessions', async (t) => {
  const opened = new Set<string>();
  const { daemon, url } = await world(t, {
    wrap: (accounts) => ({
      ...accounts,
      openSession: (one) => {
        opened.add(one.id);
        return accounts.openSession(one);
      },
    }),
  });
  await using client = openBareClient();
  await registerAlice(client, daemon);
  const seed = testSeed('half of UDP lost');
  t.diagnostic(`seed ${seed}`);
  await using link = await lossyLink({ target: daemon.address, seed, loss: 0.5, duplicate: 0.2, reorder: 0.2 });
  const ways: string[] = [];
  const logins = await Promise.all(
    Array.from({ length: 12 }, async () => {
      const exchange = await client.exchange(link.address, { serverUrl: url, patienceMs: 500 });
      try {
        return await client.login(exchange, { username: 'alice', password: PASSWORD });
      } finally {
        ways.push(exchange.way());
        exchange.close();
      }
    }),
  );
  t.diagnostic(ways.join(' '));
  assert.ok(ways.includes('http'));
  assert.equal(opened.size, logins.length);
  for (const id of opened) assert.equal((await daemon.accounts.session(id))?.state, 'live');
});

test('a login that HTTP is long about is waited for, though over UDP its cookie is none: it makes one session', async (t) => {
  const opened = new Set<string>();
  const { daemon, url } = await world(t, {
    wrap: (accounts) => ({
      ...accounts,
      async openSession(one) {
        opened.add(one.id);
        await sleep(1200);
        return accounts.openSession(one);
      },
    }),
  });
  await using client = openBareClient();
  await registerAlice(client, daemon);
  const exchange = await client.exchange(daemon.address, { serverUrl: url, first: 'http', patienceMs: 400 });
  t.after(() => exchange.close());
  await client.login(exchange, { username: 'alice', password: PASSWORD });
  assert.equal(opened.size, 1);
});

test('where HTTP falls silent in the middle of a login it begins again over UDP', async (t) => {
  let fallSilent = (): void => undefined;
  const { daemon, url, carrier } = await world(t, {
    wrap: (accounts) => ({
      ...accounts,
      accountForLogin(name, device) {
        fallSilent();
        return accounts.accountForLogin(name, device);
      },
    }),
  });
  await using client = openBareClient();
  await registerAlice(client, daemon);
  fallSilent = () => {
    fallSilent = () => undefined;
    carrier.carry = async () => null;
  };
  const exchange = await client.exchange(daemon.address, { serverUrl: url, first: 'http', giveUpMs: 3000 });
  t.after(() => exchange.close());
  await client.login(exchange, { username: 'alice', password: PASSWORD });
  assert.equal(exchange.way(), 'udp');
});

test('the same bytes by both ways get the same bytes back', async (t) => {
  const { daemon } = await world(t);
  const key = new Uint8Array(16);
  const renew = encodeClient('renew', randomBytes(16), { cookie: key, timeMs: new Uint8Array(8), sessionId: key, mac: new Uint8Array(32) });
  const retry = await daemon.daemon.receive(renew, { address: '192.0.2.1', port: 1 });
  const cookie = retry === null ? null : parseServer(retry);
  assert.ok(cookie?.kind === 'retry');
  const again = encodeClient('renew', randomBytes(16), {
    cookie: cookie.cookie,
    timeMs: new Uint8Array(8),
    sessionId: key,
    mac: new Uint8Array(32),
  });
  const overUdp = await daemon.daemon.receive(again, { address: '192.0.2.1', port: 1 });
  const overHttp = await daemon.daemon.receive(again, { address: '::ffff:192.0.2.1', port: 0, via: 'http' });
  assert.notEqual(overUdp, null);
  assert.deepEqual(overHttp, overUdp);
});

async function udpTo(t: TestContext, address: string): Promise<Socket> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.connect(Number(address.split(':')[1]), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

test('nobody but the server has datagrams answered in its envelope: a forged one, an old one and a changed one get silence', async (t) => {
  const { daemon, folder } = await world(t);
  const p = {
    hmac: (key: Uint8Array, ...parts: readonly Uint8Array[]) => createHmac('sha256', key).update(Buffer.concat(parts)).digest(),
  };
  const empty = new Uint8Array(16);
  const datagram = encodeClient('renew', randomBytes(16), {
    cookie: empty,
    timeMs: new Uint8Array(8),
    sessionId: empty,
    mac: new Uint8Array(32),
  });
  const question = { id: randomBytes(16), address: '192.0.2.1', timeMs: Date.now(), datagram };
  const key = await openCarrierKey(join(folder, 'data'));
  const changed = Buffer.from(encodeQuestion(p, key, question));
  changed[30] = (changed[30] ?? 0) ^ 1;
  const forged = [
    encodeQuestion(p, randomBytes(32), question),
    encodeQuestion(p, new Uint8Array(32), question),
    encodeQuestion(p, key, { ...question, timeMs: Date.now() - 60_000 }),
    changed,
    encodeQuestion(p, key, question).subarray(0, DATAGRAM.clientBytes),
  ];
  const socket = await udpTo(t, daemon.address);
  const answers: Buffer[] = [];
  socket.on('message', (bytes) => answers.push(bytes));
  for (const bytes of forged) socket.send(bytes);
  socket.send(encodeQuestion(p, key, question)); // answered behind the others
  while (answers.length === 0) await sleep(5);
  await sleep(50);
  assert.equal(answers.length, 1);
  assert.ok((answers[0]?.length ?? 0) < datagram.length);
});
