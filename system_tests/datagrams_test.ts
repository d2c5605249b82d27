import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { client as opaque, ready } from '@serenity-kit/opaque';
import type { RegistrationMode } from '../Authentication/registration.ts';
import type { DaemonFixture } from '../Authentication/testing/daemon_fixture.ts';
import { type BareClient, directExchange } from '../Client/testing/auth_client.ts';
import { DATAGRAM, encodeClient, parseServer } from '../Models/datagrams.ts';
import { countingSessions, everyKind, hex, kindOf, recorded, SOURCE, WHO, type World, world } from './datagram_world.ts';

test('each datagram said again gets the very same bytes, and makes nothing new', async (t) => {
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap });
  const turns = await everyKind(there);
  const before = sessions.ids.size;
  for (let round = 0; round < 3; round += 1) {
    for (const { up, down } of turns) assert.deepEqual(await there.server.daemon.receive(up, SOURCE), down);
  }
  assert.equal(before, 3);
  assert.equal(sessions.ids.size, before);
});

test('a FINISH or BEGIN said again gives the same ticket and session also when its reply was not kept', async (t) => {
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap, repliesMax: 0 });
  const turns = await recorded(there.server, async (exchange) => {
    await there.client.register(exchange, WHO);
    await there.client.begin(exchange, await there.client.login(exchange, WHO));
  });
  for (const { up, down } of turns.filter(({ up }) => [3, 4, 5, 0x0d].includes(kindOf(up)))) {
    for (let n = 0; n < 3; n += 1) assert.deepEqual(await there.server.daemon.receive(up, SOURCE), down);
  }
  assert.equal(sessions.ids.size, 2);
});

test('a change said again, by whomever, is not done again, and gives the same bytes also when its reply was not kept', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const there = await world(t, { repliesMax: 0, now: () => clock.atMs });
  const { server, client } = there;
  const logins: Awaited<ReturnType<BareClient['login']>>[] = [];
  await recorded(server, async (exchange) => {
    await client.register(exchange, WHO);
    logins.push(await client.login(exchange, WHO));
  });
  const [granted] = logins;
  assert.ok(granted !== undefined);
  const deviceId = hex(granted.grant.deviceId);
  const rename = (name: string) =>
    recorded(server, (exchange) => client.change(exchange, granted, { kind: 'renameDevice', deviceId, name }));
  const nameNow = async () => (await server.accounts.listDevices(hex(granted.grant.userId)))[0]?.name;
  const [first] = await rename('one');
  assert.ok(first?.down);
  assert.deepEqual(await server.daemon.receive(first.up, SOURCE), first.down);
  await rename('two');
  assert.equal(await nameNow(), 'two');
  for (const address of [SOURCE.address, '203.0.113.9']) {
    const reply = await server.daemon.receive(first.up, { ...SOURCE, address });
    assert.equal(kindOf(reply ?? new Uint8Array(0)), 0x8d); // stale
    assert.equal(await nameNow(), 'two');
  }
  clock.atMs += 6 * 60_000;
  assert.equal(kindOf((await server.daemon.receive(first.up, SOURCE)) ?? new Uint8Array(0)), 0x81);
  await rename('three'); // the numbers go on
  assert.equal(await nameNow(), 'three');
});

test('a client whose numbers fell behind, or whose clock was set back, goes on with higher ones', async (t) => {
  const there = await world(t);
  await recorded(there.server, async (exchange) => {
    await there.client.register(exchange, WHO);
    const granted = await there.client.login(exchange, WHO);
    const deviceId = hex(granted.grant.deviceId);
    const change = { kind: 'renameDevice', deviceId, name: 'far' } as const;
    const ahead = {
      sessionId: hex(granted.grant.sessionId),
      transaction: '5'.repeat(32),
      number: Date.now() + 1e9,
      change,
      atMs: Date.now(),
    };
    assert.equal((await there.server.accounts.changeInSession(ahead))?.result, 'done');
    await there.client.change(exchange, granted, { ...change, name: 'near' });
    assert.equal((await there.server.accounts.listDevices(hex(granted.grant.userId)))[0]?.name, 'near');
    for (const name of ['', ' ', 'a\nb', 'x\u202ey']) {
      await assert.rejects(there.client.change(exchange, granted, { ...change, name }), { code: 'name_invalid' });
    }
  });
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
  swapped.set(other.subarray(36, 36 + 260), 36);
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
      accountForLogin(...asking) {
        asked += 1;
        return accounts.accountForLogin(...asking);
      },
    }),
  });
  for (let n = 0; n < 10_000; n += 1) {
    const transaction = new Uint8Array(16);
    new DataView(transaction.buffer).setUint32(0, n);
    const cookie = transaction;
    const hello = encodeClient('hello', transaction, { cookie, ephemeral: new Uint8Array(32), sealed: new Uint8Array(221) });
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
    guess[20 + 16 + 260 + n] = (guess[20 + 16 + 260 + n] ?? 0) ^ 1;
    guesses.push(kindOf((await server.daemon.receive(guess, SOURCE)) ?? new Uint8Array(0)));
  }
  assert.deepEqual(guesses, [0x89, 0x89, 0x88, 0x88, 0x88]); // the login itself took one
  assert.equal(await answers(() => client.renew(exchange, granted)), '...bb');
  assert.equal(await answers(() => client.logout(exchange, granted)), '...bb');
  clock.atMs += 1000;
  assert.equal(await answers(() => client.logout(exchange, granted)), '.bbbb');
});

/** As seen from elsewhere: REGISTER and ENROL with `code`, and what became of it. */
function registering({ server, client }: World, address: string, via?: 'http') {
  const source = { address, port: 5, ...(via === undefined ? {} : { via }) };
  const exchange = directExchange((up) => server.daemon.receive(up, source));
  return (username: string, code?: Uint8Array): Promise<string> =>
    client.register(exchange, { ...WHO, username, ...(code === undefined ? {} : { code }) }).then(
      () => 'registered',
      (error: Error & { code?: string }) => error.code ?? error.message,
    );
}

async function inviteCode({ accounts }: DaemonFixture, usesLeft = 100, expiresAtMs = Number.MAX_SAFE_INTEGER): Promise<Buffer> {
  const secret = randomBytes(16);
  const digest = hash('sha256', secret, 'buffer');
  await accounts.addInviteCode({ digest, usesLeft, expiresAtMs, quotaBytes: null, label: null, madeBy: 'root', madeAtMs: 1 });
  return secret;
}

const HERE = ['::1', '127.0.0.9', '::ffff:127.0.0.1'];
/** What comes through the HTTP server is from elsewhere, whatever the address. */
const ELSEWHERE = ['192.0.2.7', '2001:db8::1', '::ffff:192.0.2.7', ['127.0.0.1', 'http'] as const];
const MODES: readonly [mode: RegistrationMode, here: string, elsewhere: string, withCode: string][] = [
  ['local', 'registered', 'registration_closed', 'registered'],
  ['invite', 'registration_closed', 'registration_closed', 'registered'],
  ['open', 'registered', 'registered', 'registered'],
  ['closed', 'registration_closed', 'registration_closed', 'registration_closed'],
];
for (const [registration, here, elsewhere, withCode] of MODES) {
  test(`registration ${registration}: here ${here}, elsewhere ${elsewhere}, with a code ${withCode}`, async (t) => {
    const there = await world(t, { registration });
    const code = await inviteCode(there.server);
    for (const [n, from] of [...HERE, ...ELSEWHERE].entries()) {
      const [address, via] = typeof from === 'string' ? [from] : from;
      const register = registering(there, address, via);
      assert.equal(await register(`free${n}`), n < HERE.length ? here : elsewhere, address);
      assert.equal(await register(`invited${n}`, code), withCode, address);
      // nobody gets in by a code that is none, not even where none is needed
      assert.equal(
        await register(`wrong${n}`, randomBytes(16)),
        registration === 'closed' ? 'registration_closed' : 'invite_invalid',
        address,
      );
    }
  });
}

test('a code that is unknown, used up or expired is refused alike, and tells nothing of names', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const there = await world(t, { now: () => clock.atMs });
  const register = registering(there, '192.0.2.7');
  const [once, expired] = [await inviteCode(there.server, 1), await inviteCode(there.server, 5, clock.atMs)];
  assert.equal(await register('alice', once), 'registered');
  for (const code of [once, expired, randomBytes(16)]) {
    for (const username of ['alice', 'nobody']) assert.equal(await register(username, code), 'invite_invalid');
  }
  assert.equal(await register('alice'), 'registration_closed');
  assert.equal(await register('alice', await inviteCode(there.server)), 'name_taken');
});

test('a use is taken by ENROL once: the same record again is the same registration, another one with the used code is none', async (t) => {
  const there = await world(t, { repliesMax: 0 });
  const code = await inviteCode(there.server, 1);
  const enrols: Uint8Array[] = [];
  const source = { address: '192.0.2.7', port: 5 };
  const exchange = directExchange((up) => {
    if (kindOf(up) === 3) enrols.push(Uint8Array.from(up));
    return there.server.daemon.receive(up, source);
  });
  await there.client.register(exchange, { ...WHO, code });
  const id = (await there.server.accounts.findAccount('alice'))?.id;
  const [enrol] = enrols;
  assert.ok(enrol !== undefined);
  const replies = await Promise.all(Array.from({ length: 3 }, () => there.server.daemon.receive(enrol, source)));
  for (const reply of replies) assert.equal(parseServer(reply ?? new Uint8Array(0))?.kind, 'enrolled');
  assert.equal((await there.server.accounts.findAccount('alice'))?.id, id);
  assert.deepEqual(
    (await there.server.accounts.inviteCodes(Date.now())).map(({ usesLeft }) => usesLeft),
    [0],
  );
  await assert.rejects(there.client.register(exchange, { ...WHO, username: 'bob', code }), { code: 'invite_invalid' });
});

test('of many who register at once with one use left exactly one is registered', async (t) => {
  const there = await world(t);
  const code = await inviteCode(there.server, 1);
  const register = registering(there, '192.0.2.7');
  const outcomes = await Promise.all(Array.from({ length: 8 }, (_, n) => register(`user${n}`, code)));
  assert.deepEqual(outcomes.toSorted(), [...Array<string>(7).fill('invite_invalid'), 'registered']);
});

test('a client of another version is told so', async (t) => {
  const { server, client } = await world(t);
  const exchange = directExchange((up) => {
    const newer = Uint8Array.from(up);
    newer[2] = DATAGRAM.version + 1;
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
      const hello = { cookie, ephemeral: new Uint8Array(32), sealed: new Uint8Array(221) };
      return there.server.daemon.receive(encodeClient('hello', new Uint8Array(16).fill(n), hello), SOURCE);
    }),
  );
  assert.equal(replies.filter((reply) => reply !== null && kindOf(reply) === 0x88).length, 6);
});

test('when all sources together begin too many logins the rest is told to come back; sessions are still renewed', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const { server, client } = await world(t, { beginRate: { perSecond: 1, burst: 5 }, now: () => clock.atMs });
  const exchange = directExchange((up) => server.daemon.receive(up, SOURCE));
  await client.register(exchange, WHO); // takes two
  const granted = await client.login(exchange, WHO); // and one
  const begun: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    const elsewhere = directExchange((up) => server.daemon.receive(up, { address: `192.0.2.${n}`, port: 1 }));
    begun.push(
      await client.login(elsewhere, WHO).then(
        () => 'done',
        (error: Error) => error.message,
      ),
    );
  }
  assert.deepEqual(begun, ['done', 'done', 'no believable answer', 'no believable answer']);
  await client.renew(exchange, granted);
  clock.atMs += 1000;
  await client.login(exchange, WHO);
});
