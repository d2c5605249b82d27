import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { client as opaque, ready } from '@serenity-kit/opaque';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { type BareClient, directExchange, openBareClient } from '../Client/testing/auth_client.ts';
import { DATAGRAM, encodeClient, parseServer } from '../Models/datagrams.ts';
import type { Accounts } from '../Storage/accounts.ts';
import { seededRandom } from './seeded_random.ts';

const WHO = { username: 'alice', password: 'correct horse battery' };
const SOURCE = { address: '127.0.0.1', port: 40_000 };

type Turn = { readonly up: Uint8Array; readonly down: Uint8Array | null };
type World = { readonly server: DaemonFixture; readonly client: BareClient };

async function world(t: TestContext, options: Parameters<typeof startDaemon>[1] = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-datagrams-'));
  const server = await startDaemon(folder, options);
  const client = openBareClient();
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  return { server, client };
}

/** Everything that `work` says to the daemon and hears from it. */
async function recorded(server: DaemonFixture, work: (exchange: ReturnType<typeof directExchange>) => Promise<unknown>): Promise<Turn[]> {
  const turns: Turn[] = [];
  const exchange = directExchange(async (up) => {
    const down = await server.daemon.receive(up, SOURCE);
    turns.push({ up: Uint8Array.from(up), down });
    return down;
  });
  await work(exchange);
  return turns;
}

/** One of each kind: registration, login, renewal, logout of a second session. */
async function everyKind({ server, client }: World): Promise<Turn[]> {
  return recorded(server, async (exchange) => {
    await client.register(exchange, WHO);
    const first = await client.login(exchange, WHO);
    await client.renew(exchange, first);
    await client.logout(exchange, await client.login(exchange, WHO));
  });
}

const kindOf = (bytes: Uint8Array): number => bytes[3] ?? 0;

/** How many sessions there are, by the count of FINISH that make one. */
function countingSessions(): { readonly ids: Set<string>; wrap(accounts: Accounts): Accounts } {
  const ids = new Set<string>();
  return {
    ids,
    wrap: (accounts) => ({
      ...accounts,
      openSession(session) {
        ids.add(session.id);
        return accounts.openSession(session);
      },
    }),
  };
}

test('every kind of client datagram is 1200 bytes, and no answer is longer', async (t) => {
  const turns = await everyKind(await world(t));
  assert.deepEqual(new Set(turns.map(({ up }) => kindOf(up))), new Set([1, 2, 3, 4, 5, 6, 7]));
  for (const { up, down } of turns) {
    assert.equal(up.length, DATAGRAM.clientBytes);
    assert.ok(down !== null && down.length <= up.length);
  }
});

test('a datagram of any other length, and every reply sent back to the daemon, gets silence', async (t) => {
  const there = await world(t);
  for (const { up, down } of await everyKind(there)) {
    for (let length = 0; length < up.length; length += 1) {
      assert.equal(await there.server.daemon.receive(up.subarray(0, length), SOURCE), null);
    }
    assert.equal(await there.server.daemon.receive(Buffer.concat([up, Buffer.alloc(1)]), SOURCE), null);
    assert.ok(down !== null);
    assert.equal(await there.server.daemon.receive(down, SOURCE), null);
    const padded = Buffer.alloc(DATAGRAM.clientBytes);
    padded.set(down);
    assert.equal(await there.server.daemon.receive(padded, SOURCE), null);
    padded[2] = 2; // nor one of another version: two daemons must have nothing to say to each other
    assert.equal(await there.server.daemon.receive(padded, SOURCE), null);
  }
});

test('a flipped byte anywhere gets silence or a typed refusal, and never a session, a ticket or an account', async (t) => {
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap });
  const turns = await everyKind(there);
  const before = sessions.ids.size;
  for (const { up } of turns) {
    for (let at = 0; at < up.length; at += 1) {
      const changed = Uint8Array.from(up);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const bytes = await there.server.daemon.receive(changed, SOURCE);
      const reply = bytes === null ? null : parseServer(bytes);
      assert.ok(reply === null || reply.kind === 'retry' || reply.kind === 'error', `byte ${at} of kind ${kindOf(up)}`);
      assert.ok(bytes === null || bytes.length <= 68);
    }
  }
  assert.equal(sessions.ids.size, before);
});

test('random bytes behind a well-formed header and a good cookie crash nothing and open nothing', async (t) => {
  const seed = 7;
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const { server } = await world(t);
  const transaction = new Uint8Array(16).fill(1);
  const nothing = { cookie: new Uint8Array(16), ephemeral: new Uint8Array(32), sealed: new Uint8Array(189) };
  const retry = parseServer((await server.daemon.receive(encodeClient('hello', transaction, nothing), SOURCE)) ?? new Uint8Array(0));
  assert.ok(retry?.kind === 'retry');
  for (let n = 0; n < 20_000; n += 1) {
    const bytes = new Uint8Array(DATAGRAM.clientBytes);
    bytes.set([0x44, 0x4c, 1, 1 + (n % 7)]);
    bytes.set(retry.cookie, 20);
    for (let at = 36; at < 36 + (n % 400); at += 1) bytes[at] = Math.floor(random() * 256);
    const reply = await server.daemon.receive(bytes, SOURCE);
    assert.ok(reply === null || kindOf(reply) === 0x89);
  }
});

test('each datagram said again gets the very same bytes, and makes nothing new', async (t) => {
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap });
  const turns = await everyKind(there);
  const before = sessions.ids.size;
  for (let round = 0; round < 3; round += 1) {
    for (const { up, down } of turns) assert.deepEqual(await there.server.daemon.receive(up, SOURCE), down);
  }
  assert.equal(before, 2);
  assert.equal(sessions.ids.size, before);
});

test('a FINISH said again gives the same ticket and session also when its reply was not kept', async (t) => {
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap, repliesMax: 0 });
  const turns = await recorded(there.server, async (exchange) => {
    await there.client.register(exchange, WHO);
    await there.client.login(exchange, WHO);
  });
  for (const { up, down } of turns.filter(({ up }) => [3, 4, 5].includes(kindOf(up)))) {
    for (let n = 0; n < 3; n += 1) assert.deepEqual(await there.server.daemon.receive(up, SOURCE), down);
  }
  assert.equal(sessions.ids.size, 1);
});

test('the same datagrams at the same time are worked on once', async (t) => {
  const there = await world(t);
  const turns = await recorded(there.server, async (exchange) => {
    await there.client.register(exchange, WHO);
    const granted = await there.client.login(exchange, WHO);
    await there.client.renew(exchange, granted);
  });
  const renew = turns.at(-1);
  assert.ok(renew !== undefined && kindOf(renew.up) === 6);
  const replies = await Promise.all(Array.from({ length: 50 }, () => there.server.daemon.receive(renew.up, SOURCE)));
  for (const reply of replies) assert.deepEqual(reply, renew.down);
});

test('a half-open login cannot be finished from another address, in another login, or after a minute', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap, now: () => clock.atMs });
  const { daemon } = there.server;
  const finishes: Uint8Array[] = [];
  const unfinished = directExchange(async (up) => {
    if (kindOf(up) !== 4) return daemon.receive(up, SOURCE);
    finishes.push(Uint8Array.from(up));
    return null;
  });
  await there.client.register(unfinished, WHO);
  for (let n = 0; n < 2; n += 1) await assert.rejects(there.client.login(unfinished, WHO), /no believable answer/);
  const [one, other] = finishes;
  assert.ok(one !== undefined && other !== undefined);
  const swapped = Uint8Array.from(one);
  swapped.set(other.subarray(36, 36 + 212), 36);
  const refusal = async (bytes: Uint8Array, source = SOURCE): Promise<string | undefined> =>
    parseServer((await daemon.receive(bytes, source)) ?? new Uint8Array(0))?.kind;
  assert.equal(await refusal(swapped), 'error');
  assert.equal(await refusal(one, { ...SOURCE, port: 40_001 }), 'retry');
  clock.atMs += 60_001;
  assert.equal(await refusal(one), 'error');
  assert.equal(sessions.ids.size, 0);
});

test('a captured ACK or RENEW keeps no session alive, however often and from wherever it is said again', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const there = await world(t, { now: () => clock.atMs, repliesMax: 0 });
  const { daemon, accounts } = there.server;
  const captured: Uint8Array[] = [];
  const exchange = directExchange((up) => {
    if (kindOf(up) === 5 || kindOf(up) === 6) captured.push(Uint8Array.from(up));
    return daemon.receive(up, SOURCE);
  });
  await there.client.register(exchange, WHO);
  const granted = await there.client.login(exchange, WHO);
  await there.client.renew(exchange, granted);
  const id = Buffer.from(granted.grant.sessionId).toString('hex');
  const lastSeenMs = (await accounts.session(id))?.lastSeenMs;
  assert.ok(captured.length >= 2);
  clock.atMs += 5 * 60_000 + 5000;
  for (const bytes of captured) {
    for (const address of [SOURCE.address, '203.0.113.9']) {
      assert.equal(kindOf((await daemon.receive(bytes, { ...SOURCE, address })) ?? new Uint8Array(0)), 0x81);
    }
  }
  assert.equal((await accounts.session(id))?.lastSeenMs, lastSeenMs);
});

test('a client renews in one round trip, and in one more when its clock is wrong, which it learns from that', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const there = await world(t, { now: () => clock.atMs });
  const granted: Awaited<ReturnType<BareClient['login']>>[] = [];
  await recorded(there.server, async (exchange) => {
    await there.client.register(exchange, WHO);
    granted.push(await there.client.login(exchange, WHO));
  });
  const [first] = granted;
  assert.ok(first !== undefined);
  for (const [wrongMs, roundTrips] of [
    [0, 1],
    [4 * 60_000, 1],
    [-4 * 60_000, 1],
    [24 * 3_600_000, 2],
    [-24 * 3_600_000, 2],
  ] as const) {
    const clockOffsetMs = first.clockOffsetMs + wrongMs;
    const turns = await recorded(there.server, async (exchange) => {
      const next = await there.client.renew(exchange, { ...first, clockOffsetMs });
      assert.ok(Math.abs(next.clockOffsetMs - first.clockOffsetMs) < 10_000);
    });
    assert.equal(turns.length, roundTrips, `${wrongMs} ms`);
  }
});

test('a flood of HELLO without a cookie asks the accounts nothing and is answered with 68 bytes', async (t) => {
  let asked = 0;
  const { server } = await world(t, {
    rate: { perSecond: 1, burst: 1 },
    wrap: (accounts) => ({
      ...accounts,
      accountForLogin(name) {
        asked += 1;
        return accounts.accountForLogin(name);
      },
    }),
  });
  for (let n = 0; n < 10_000; n += 1) {
    const transaction = new Uint8Array(16);
    new DataView(transaction.buffer).setUint32(0, n);
    const cookie = transaction;
    const hello = encodeClient('hello', transaction, { cookie, ephemeral: new Uint8Array(32), sealed: new Uint8Array(189) });
    assert.equal((await server.daemon.receive(hello, { address: `10.0.${n >> 8}.${n & 255}`, port: 1 }))?.length, 68);
  }
  assert.equal(asked, 0);
});

test('two spellings of a name are one name to the daemon, whether anybody has it or not, and registering changes nothing of that', async (t) => {
  await ready;
  const { server, client } = await world(t);
  const exchange = directExchange((up) => server.daemon.receive(up, SOURCE));
  const ke1 = Buffer.from(opaque.startLogin({ password: 'x' }).startLoginRequest, 'base64url');
  // the first 32 bytes depend on KE1 and the user alone
  const evaluated = async (name: string): Promise<string> =>
    Buffer.from((await client.challenge(exchange, { ke1, name })).subarray(0, 32)).toString('hex');
  const before = await evaluated('straße');
  await client.register(exchange, { ...WHO, username: 'straße' });
  await client.register(exchange, WHO);
  for (const spellings of [
    ['straße', 'Straße', 'STRASSE', 'strasse'],
    ['gaße', 'Gaße', 'GASSE', 'gasse'],
    ['alice', 'ALICE', '\uff21lice'],
    ['nobody', 'NOBODY', '\uff2eobody'],
  ]) {
    assert.equal(new Set(await Promise.all(spellings.map(evaluated))).size, 1, spellings.join());
  }
  assert.equal(await evaluated('straße'), before);
  await client.login(exchange, { ...WHO, username: 'STRASSE' });
});

test('one source is held to its rate in every kind of datagram, each by itself', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const rate = { perSecond: 1, burst: 3 };
  const { server, client } = await world(t, { rate, now: () => clock.atMs });
  const seen = new Map<number, Uint8Array>();
  const exchange = directExchange((up) => {
    seen.set(kindOf(up), Uint8Array.from(up));
    return server.daemon.receive(up, SOURCE);
  });
  await client.register(exchange, WHO);
  const granted = await client.login(exchange, WHO);
  const answers = async (ask: (n: number) => Promise<unknown>): Promise<string> => {
    let text = '';
    for (let n = 0; n < 5; n += 1)
      text += await ask(n).then(
        () => '.',
        (error: Error) => (error.message === 'no believable answer' ? 'b' : error.message),
      );
    return text;
  };
  const finish = seen.get(4);
  assert.ok(finish !== undefined);
  const guesses: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    const guess = Uint8Array.from(finish);
    guess[20 + 16 + 212 + n] = (guess[20 + 16 + 212 + n] ?? 0) ^ 1;
    guesses.push(kindOf((await server.daemon.receive(guess, SOURCE)) ?? new Uint8Array(0)));
  }
  assert.deepEqual(guesses, [0x89, 0x89, 0x88, 0x88, 0x88]); // the login itself took one
  assert.equal(await answers(() => client.renew(exchange, granted)), '...bb');
  assert.equal(await answers(() => client.logout(exchange, granted)), '...bb');
  clock.atMs += 1000;
  assert.equal(await answers(() => client.logout(exchange, granted)), '.bbbb');
});

test('registration is closed to other machines', async (t) => {
  const { server, client } = await world(t);
  for (const address of ['192.0.2.7', '2001:db8::1', '::ffff:192.0.2.7']) {
    const exchange = directExchange((up) => server.daemon.receive(up, { address, port: 5 }));
    await assert.rejects(client.register(exchange, WHO), { code: 'registration_closed' });
  }
  for (const address of ['::1', '127.0.0.9', '::ffff:127.0.0.1']) {
    const exchange = directExchange((up) => server.daemon.receive(up, { address, port: 5 }));
    await client.register(exchange, { ...WHO, username: `user${address.length}` });
  }
});

test('a client of another version is told so', async (t) => {
  const { server, client } = await world(t);
  const exchange = directExchange((up) => {
    const newer = Uint8Array.from(up);
    newer[2] = 2;
    return server.daemon.receive(newer, SOURCE);
  });
  await assert.rejects(client.login(exchange, WHO), { code: 'protocol_mismatch' });
});

test('with more requests than the queue holds, the rest is told to come back', async (t) => {
  const there = await world(t, { queueMax: 4 });
  const turns = await recorded(there.server, async (exchange) => {
    await there.client.register(exchange, WHO);
  });
  const cookie = turns.find(({ up }) => kindOf(up) === 2)?.up.subarray(20, 36);
  assert.ok(cookie !== undefined);
  const replies = await Promise.all(
    Array.from({ length: 10 }, (_, n) => {
      const hello = { cookie, ephemeral: new Uint8Array(32), sealed: new Uint8Array(189) };
      return there.server.daemon.receive(encodeClient('hello', new Uint8Array(16).fill(n), hello), SOURCE);
    }),
  );
  assert.equal(replies.filter((reply) => reply !== null && kindOf(reply) === 0x88).length, 6);
});
