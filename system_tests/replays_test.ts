import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directExchange } from '../Client/testing/auth_client.ts';
import { DATAGRAM, LAYOUTS, parseServer } from '../Models/datagrams.ts';
import { countingSessions, kindOf, recorded, SOURCE, type Turn, WHO, world } from './datagram_world.ts';

const { hello, finish } = LAYOUTS.client;
const { challenge, ticket } = LAYOUTS.server;

test('HELLO and FINISH said a thousand times get the same bytes, and make one session, one entry in the audit, one guess', async (t) => {
  const sessions = countingSessions();
  let guesses = 0;
  const { server, client } = await world(t, {
    wrap: (accounts) => {
      const { guesses: rows } = accounts;
      const spend: typeof rows.spend = (...guess) => {
        guesses += 1;
        return rows.spend(...guess);
      };
      return { ...sessions.wrap(accounts), guesses: { ...rows, spend } };
    },
  });
  const turns = await recorded(server, async (exchange) => {
    await client.register(exchange, WHO);
    guesses = 0; // what a registration asks is counted as one, too
    await client.login(exchange, WHO);
  });
  const said = turns.filter(({ down }) => [challenge.code, ticket.code].includes((down?.[3] ?? 0) as never));
  assert.deepEqual(
    said.map(({ up }) => kindOf(up)),
    [hello.code, finish.code],
  );
  for (let n = 0; n < 1000; n += 1) {
    for (const { up, down } of said) assert.deepEqual(await server.daemon.receive(up, SOURCE), down);
  }
  assert.equal(sessions.ids.size, 1);
  assert.equal(server.audited.filter(({ what }) => what === 'login').length, 1);
  assert.equal(guesses, 1);
});

test('a login can be finished also when keys were changed in between, and after a minute it begins again', async (t) => {
  const clock = { atMs: 1_800_000_000_000 };
  const { server, client } = await world(t, { now: () => clock.atMs });
  let laterMs = 0;
  let finishes: Uint8Array[] = [];
  const exchange = directExchange((up) => {
    if (kindOf(up) === finish.code) {
      clock.atMs += laterMs;
      finishes.push(Uint8Array.from(up));
    }
    return server.daemon.receive(up, SOURCE);
  });
  await client.register(exchange, WHO);
  for (laterMs of [0, 1000, 30_000, 59_999, 60_000]) {
    clock.atMs += 47_000; // so that keys of cookies and logins change at other moments each time
    await client.login(exchange, WHO);
  }
  for (laterMs of [60_001, 119_000, 240_001]) {
    finishes = [];
    await assert.rejects(client.login(exchange, WHO), { code: 'busy' }); // it began again, and again too late
    assert.equal(finishes.length, 3);
    const refusal = parseServer((await server.daemon.receive(finishes[2] ?? new Uint8Array(0), SOURCE)) ?? new Uint8Array(0));
    assert.ok(refusal?.kind === 'error' || refusal?.kind === 'retry');
  }
});

test('a byte of a header that is changed on the way, in any datagram of a login, ends it', async (t) => {
  const { server, client } = await world(t);
  const direct = directExchange((up) => server.daemon.receive(up, SOURCE));
  await client.register(direct, WHO);
  /** Which datagram is changed: the n-th of those that the client and the daemon say in turn, from the HELLO with KE1 on. */
  for (const [which, name] of ['HELLO', 'CHALLENGE', 'FINISH', 'TICKET'].entries()) {
    for (let at = 0; at < DATAGRAM.headerBytes; at += 1) {
      let seen = -2; // the HELLO that asks for a cookie, and its RETRY, prove nothing
      const changed = (bytes: Uint8Array): Uint8Array => {
        const copy = Uint8Array.from(bytes);
        if (seen === which) copy[at] = (copy[at] ?? 0) ^ 1;
        seen += 1;
        return copy;
      };
      const exchange = directExchange(async (up) => {
        const down = await server.daemon.receive(changed(up), SOURCE);
        if (down === null) seen += 1;
        return down === null ? null : changed(down);
      });
      await assert.rejects(client.login(exchange, WHO), `byte ${at} of ${name}`);
    }
  }
  await client.login(direct, WHO);
});

test('a turn of the conversation that is answered with an older answer of the same kind is not believed', async (t) => {
  const { server, client } = await world(t);
  let old: Turn[] = [];
  old = await recorded(server, async (exchange) => {
    await client.register(exchange, WHO);
    await client.login(exchange, WHO);
  });
  for (const code of [challenge.code, ticket.code, LAYOUTS.server.acked.code]) {
    const older = old.find(({ down }) => down?.[3] === code)?.down;
    assert.ok(older);
    const exchange = directExchange(async (up) => {
      const down = await server.daemon.receive(up, SOURCE);
      if (down?.[3] !== code) return down;
      const replayed = Uint8Array.from(older);
      replayed.set(up.subarray(4, DATAGRAM.headerBytes), 4); // the transaction is in clear: anybody can write it there
      return replayed;
    });
    await assert.rejects(client.login(exchange, WHO), /no believable answer/);
  }
});
