import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { parseEvent } from '../../Models/events.ts';
import { LIMITS } from '../../Models/limits.ts';
import { ROUTES } from '../../Models/routes.ts';
import { OwnTime } from '../../Models/testing/processor_time.ts';
import type { TicketClaims } from '../../Models/ticket.ts';
import { listen, stopListening } from '../listen.ts';
import { deeds } from '../testing/requests.ts';
import { openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';
import { LocalFanOut } from './events_fan_out.ts';
import { registerEventRoute } from './events_routes.ts';
import { Presence } from './presence.ts';

let server: ServerFixture;
let base: string;
before(async () => {
  server = await openServer();
  base = await listen(server.app, { host: '127.0.0.1', port: 0 });
});
after(() => server[Symbol.asyncDispose]());

/** One event connection, with what came on it and when. */
class Listener implements Disposable {
  readonly heard: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly socket: WebSocket;
  #woken: () => void = () => undefined;

  constructor(ticket: string, at = base) {
    this.socket = new WebSocket(at.replace('http', 'ws') + ROUTES.events, { headers: { authorization: `Bearer ${ticket}` } });
    this.socket.addEventListener('message', ({ data }) => {
      this.heard.push(parseEvent(data)?.type ?? `unknown: ${data}`);
      this.#woken();
    });
    this.closed = new Promise((resolve) => {
      this.socket.addEventListener('close', ({ code, reason }) => resolve({ code, reason }));
    });
  }

  /** Waits until so many messages came in all. @returns when, in ms */
  async count(wanted: number): Promise<number> {
    const deadline = AbortSignal.timeout(30_000);
    while (this.heard.length < wanted) {
      deadline.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#woken = resolve;
        deadline.addEventListener('abort', () => resolve());
      });
    }
    return performance.now();
  }

  /** Waits until everything that was committed before has been told, and forgets it. @returns what came since it was done the last time */
  async quiet(): Promise<string[]> {
    for (let before = -1; before !== this.heard.length; ) {
      before = this.heard.length;
      await sleep(4 * LIMITS.eventGapMs);
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate); // where the machine stood still, what was due is told now
    }
    return this.heard.splice(0);
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

async function listenAs(user: User): Promise<Listener> {
  const listener = new Listener(user.ticket);
  await listener.count(1);
  assert.deepEqual(listener.heard, ['connected']);
  listener.heard.length = 0;
  return listener;
}

const { post, mkdir, share } = deeds(() => server);

/** The answer to a request that asks to become a WebSocket, as plain HTTP. */
async function refusal(headers: Record<string, string>, path: string = ROUTES.events): Promise<{ status: number; body: string }> {
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.alloc(16).toString('base64'),
  };
  const sent = httpRequest(base + path, { agent: false, headers: { ...upgrade, ...headers } }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const piece of answer) body += piece;
  return { status: answer.statusCode ?? 0, body };
}

test('a commit is told to each device of the user at once: p99 of 100 below 100 ms', async (t) => {
  const alice = await server.addUser('alice');
  using one = await listenAs(alice);
  using two = await listenAs(alice);
  let best = Number.POSITIVE_INFINITY;
  // of several hundreds: something else may have the machine for a while, but what the server waits for it always waits for
  for (let hundred = 0; hundred < 10 && best >= 100; hundred += 1) {
    const waits: number[] = [];
    for (let n = 0; n < 100; n += 1) {
      await mkdir(alice, `/many ${hundred} ${n}`);
      const committedMs = performance.now();
      waits.push(Math.max(await one.count(1), await two.count(1)) - committedMs);
      one.heard.length = 0;
      two.heard.length = 0;
      await new Promise((resolve) => setTimeout(resolve, LIMITS.eventGapMs + 2));
    }
    waits.sort((a, b) => a - b);
    const p99 = waits[98] as number;
    best = Math.min(best, p99);
    t.diagnostic(`told after ${waits[50]?.toFixed(2)} ms in the median, ${p99.toFixed(2)} ms at p99`);
  }
  assert.ok(best < 100, `${best} ms`);
});

test('many commits are few messages, and the last one comes after the last commit', async () => {
  const alice = await server.addUser('amy');
  using listener = await listenAs(alice);
  const started = performance.now();
  let before = -1;
  // the last commit is one during which nothing came, so that what comes next is told of it
  for (let n = 0; n < 100 || before !== listener.heard.length; n += 1) {
    before = listener.heard.length;
    await mkdir(alice, `/burst ${n}`);
  }
  await listener.count(before + 1);
  assert.ok(listener.heard.length <= (performance.now() - started) / LIMITS.eventGapMs + 2, `${listener.heard.length} messages`);
  await listener.quiet();
});

test('what changes for others is not told, and neither is what changed nothing', async () => {
  const [bea, cat] = [await server.addUser('bea'), await server.addUser('cat')];
  await mkdir(bea, '/there');
  using listener = await listenAs(cat);
  using hers = await listenAs(bea);
  await mkdir(bea, '/private');
  await hers.count(1);
  await server.ask(cat, { method: 'POST', url: ROUTES.folders, payload: { path: '/a/../b' } });
  await server.ask(bea, { method: 'POST', url: ROUTES.folders, payload: { path: '/there', existingOk: true } });
  await hers.quiet();
  assert.deepEqual(listener.heard, []);
});

test('the first thing that a user stores is told', async () => {
  const fay = await server.addUser('fay');
  using listener = await listenAs(fay);
  await mkdir(fay, '/first');
  await listener.count(1);
});

test('invitations, members and mounts are told to those whom they concern, and changes to members alone', async () => {
  const [dan, eve, mal] = [await server.addUser('dan'), await server.addUser('eve'), await server.addUser('mal')];
  await mkdir(dan, '/team');
  using dans = await listenAs(dan);
  using eves = await listenAs(eve);
  using others = await listenAs(mal);
  const told = async (what: string, listeners: readonly Listener[], run: () => Promise<unknown>): Promise<void> => {
    await run();
    for (const listener of listeners) await listener.count(1).catch(() => assert.fail(`${what} is not told`));
    for (const listener of [dans, eves]) {
      const heard = await listener.quiet();
      if (!listeners.includes(listener)) assert.deepEqual(heard, [], what);
    }
    assert.deepEqual(others.heard, [], what);
  };
  let id = '';
  const invite = async () => {
    ({ id } = await post(dan, ROUTES.invitations, { path: '/team', user: 'eve', role: 'editor' }));
  };
  await told('an invitation', [dans, eves], invite);
  await told('an invitation taken back', [dans, eves], () => post(dan, `${ROUTES.invitations}/${id}/decline`));
  await told('another invitation', [dans, eves], invite);
  await told('that it was accepted', [dans, eves], () => post(eve, `${ROUTES.invitations}/${id}/accept`));
  await told('a change by the owner', [dans, eves], () => mkdir(dan, '/team/a'));
  await told('a change by the member', [dans, eves], () => mkdir(eve, '/team/b'));
  await told('where the mount is now', [eves], () => post(eve, ROUTES.move, { from: '/team', to: '/ours' }));
  await told('that a member left', [dans, eves], () => post(eve, ROUTES.leave, { path: '/ours' }));
  await told('a change behind their back', [dans], () => mkdir(dan, '/team/c'));
  await share(dan, '/team', eve);
  await Promise.all([dans.quiet(), eves.quiet()]);
  await told('that the shared folder was deleted', [dans, eves], () =>
    server.ask(dan, { method: 'DELETE', url: `${ROUTES.entry}?path=/team` }),
  );
});

test('a connection ends within two seconds of its session, and others stay', async () => {
  const [gus, hal] = [await server.addUser('gus'), await server.addUser('hal')];
  using ended = await listenAs(gus);
  using other = await listenAs(hal);
  using time = new OwnTime();
  await server.accounts.endSession(gus.sessionId, Date.now());
  const { code, reason } = await ended.closed;
  assert.ok(time.ms < 2000, `${time.ms} ms`);
  assert.deepEqual([code, reason], [1008, 'ticket_revoked']);
  await mkdir(hal, '/still');
  await other.count(1);
});

test('without a good ticket there is no connection', async () => {
  const ivy = await server.addUser('ivy');
  for (const [headers, code] of [
    [{}, 'ticket_missing'],
    [{ authorization: 'Bearer nonsense' }, 'ticket_invalid'],
    [{ authorization: `Bearer ${ivy.ticket}x` }, 'ticket_invalid'],
  ] as const) {
    const { status, body } = await refusal(headers);
    assert.deepEqual([status, JSON.parse(body).code], [401, code]);
  }
  const foreign = await refusal({ authorization: `Bearer ${ivy.ticket}`, host: 'evil.example' });
  assert.equal(foreign.status, 421);
  const open = () => new Promise<number>((resolve) => server.app.server.getConnections((_error, count) => resolve(count)));
  const deadline = Date.now() + 30_000;
  while ((await open()) > 0) {
    assert.ok(Date.now() < deadline, 'a refused connection is still open');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test('asked without an upgrade it says what it is, and other routes take no notice of one', async () => {
  const jan = await server.addUser('jan');
  const plain = await server.ask(jan, { method: 'GET', url: ROUTES.events });
  assert.deepEqual([plain.status, plain.headers.upgrade, plain.json().code], [426, 'websocket', 'request_invalid']);
  const authorization = `Bearer ${jan.ticket}`;
  assert.equal((await refusal({ authorization }, ROUTES.whoami)).status, 200);
  assert.equal((await refusal({ authorization, upgrade: 'h2c' }, ROUTES.whoami)).status, 200);
  assert.equal((await refusal({ authorization, upgrade: 'h2c' })).status, 426);
  assert.equal((await refusal({ authorization, 'sec-websocket-key': 'short' })).status, 400);
});

test('two hundred connections hear of a change, and one user cannot take them all', async () => {
  const names = ['kim', 'lea', 'max', 'ned'];
  const users = await Promise.all(names.map((name) => server.addUser(name)));
  const [owner, ...guests] = users as [User, ...User[]];
  await mkdir(owner, '/all');
  for (const guest of guests) await share(owner, '/all', guest);
  const listeners = await Promise.all(users.flatMap((user) => Array.from({ length: 50 }, () => listenAs(user))));
  await mkdir(owner, '/all/together');
  const committedMs = performance.now();
  const waits = await Promise.all(listeners.map(async (listener) => (await listener.count(1)) - committedMs));
  console.log(`200 connections told within ${Math.max(...waits).toFixed(1)} ms`);
  const more = await Promise.all(Array.from({ length: LIMITS.eventLinksPerUserMax - 50 }, () => listenAs(owner)));
  const { status, body } = await refusal({ authorization: `Bearer ${owner.ticket}` });
  assert.deepEqual([status, JSON.parse(body).code], [429, 'too_many_requests']);
  for (const listener of [...listeners, ...more]) listener[Symbol.dispose]();
  await Promise.all([...listeners, ...more].map(({ closed }) => closed));
  using again = await listenAs(owner);
  assert.equal(again.heard.length, 0);
});

test('a client that talks is not listened to for long', async () => {
  const ole = await server.addUser('ole');
  using chatty = await listenAs(ole);
  for (let n = 0; n < LIMITS.eventMessagesMax; n += 1) chatty.socket.send('hello');
  await mkdir(ole, '/still');
  await chatty.count(1);
  chatty.socket.send('one more');
  const { code, reason } = await chatty.closed;
  assert.deepEqual([code, reason], [1008, 'too_many_requests']);
  using long = await listenAs(ole);
  long.socket.send('x'.repeat(LIMITS.eventMessageBytesMax + 1));
  assert.notEqual((await long.closed).code, 1000);
});

test('a client that does not read is dropped, one that does is kept', async (t) => {
  const app = fastify();
  app.setSerializerCompiler(serializerCompiler);
  app.setValidatorCompiler(validatorCompiler);
  t.after(() => stopListening(app));
  const changes = new LocalFanOut(
    {
      readersOf: async () => [{ userId: 'pia', space: 1, homeHead: null }],
      following: { latestRows: async () => assert.fail('nobody follows') },
    },
    (error) => assert.fail(String(error)),
  );
  const principal = { userId: 'pia', userName: 'pia', deviceId: '1' };
  const nobody = { following: { follow: async () => assert.fail() }, states: { follow: () => () => undefined } };
  const authenticate = async () => ({ principal, claims: {} as TicketClaims, keyId: '' });
  await registerEventRoute(
    app,
    {
      changes,
      authenticate,
      ...nobody,
      presence: new Presence(),
      serving: new Presence(),
      publications: { own: () => assert.fail('nothing is served') },
    },
    { pingMs: 1000, checkMs: 1_000_000, pingCheckMs: 20 },
  );
  const at = await listen(app, { host: '127.0.0.1', port: 0 });
  using reading = new Listener('unchecked', at);
  await reading.count(1);
  const deaf = connect(Number(new URL(at).port), '127.0.0.1').pause();
  const key = Buffer.alloc(16).toString('base64');
  deaf.write(
    `GET ${ROUTES.events} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const count = () => new Promise<number>((resolve) => app.server.getConnections((_error, open) => resolve(open)));
  while ((await count()) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const startedMs = performance.now();
  while ((await count()) > 1) {
    assert.ok(performance.now() - startedMs < 30_000, 'it is still there');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  deaf.destroy();
  changes.publish({ spaces: new Set([1]), users: new Set() });
  await reading.count(2);
});

test('stopping the server ends the connections, also of a client that does not answer', async () => {
  const own = await openServer();
  const user = await own.addUser('quin');
  const at = await listen(own.app, { host: '127.0.0.1', port: 0 });
  using listener = new Listener(user.ticket, at);
  await listener.count(1);
  const startedMs = performance.now();
  const deaf = connect(Number(new URL(at).port), '127.0.0.1').pause();
  const key = Buffer.alloc(16).toString('base64');
  deaf.write(
    `GET ${ROUTES.events} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${user.ticket}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  deaf.on('error', () => undefined);
  await once(own.app.server, 'upgrade');
  await stopListening(own.app);
  assert.equal((await listener.closed).code, 1001);
  assert.ok(performance.now() - startedMs < LIMITS.shutdownTimeoutMs, 'it was waited for as for a request');
  await own[Symbol.asyncDispose]();
});

test('an event connection is one line of the log, with status 101 and no ticket', async () => {
  const ria = await server.addUser('ria');
  const before = server.logged.length;
  const listener = await listenAs(ria);
  listener[Symbol.dispose]();
  await listener.closed;
  const line = () => server.logged.slice(before).find((text) => text.includes(ROUTES.events));
  while (line() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(JSON.parse(line() ?? '').status, 101);
  assert.ok(!server.logged.join('').includes(ria.ticket));
});

test('those who share a folder see who is online, on which device and since when, and nobody else does', async () => {
  const [sue, tom, una] = [await server.addUser('sue'), await server.addUser('tom'), await server.addUser('una')];
  const online = async (user: User) =>
    ((await server.ask(user, { method: 'GET', url: ROUTES.online })).json().devices as { user: string; name: string; own: boolean }[]).map(
      ({ user: name, own }) => `${name}${own ? ' (own)' : ''}`,
    );
  await mkdir(sue, '/team');
  using _sues = await listenAs(sue);
  using _tomsToo = await listenAs(tom);
  assert.deepEqual(await online(sue), ['sue (own)']);
  await post(sue, ROUTES.invitations, { path: '/team', user: 'tom' });
  assert.deepEqual(await online(sue), ['sue (own)'], 'who is invited is no member');
  await post(sue, ROUTES.invitations, { path: '/team', user: 'una' });
  const { received } = (await server.ask(tom, { method: 'GET', url: ROUTES.invitations })).json();
  await post(tom, `${ROUTES.invitations}/${received[0].id}/accept`);
  assert.deepEqual(await online(sue), ['sue (own)', 'tom']);
  assert.deepEqual(await online(tom), ['tom (own)', 'sue']);
  assert.deepEqual(await online(una), []);
  const [device] = (await server.ask(tom, { method: 'GET', url: ROUTES.online })).json().devices;
  assert.deepEqual([device.device, device.name], ['2'.repeat(32), 'test']);
  assert.ok(Date.now() - Date.parse(device.since) < 60_000);
  await post(tom, ROUTES.leave, { path: '/team' });
  assert.deepEqual(await online(sue), ['sue (own)']);
});
