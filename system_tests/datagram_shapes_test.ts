import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { directExchange } from '../Client/testing/auth_client.ts';
import { type ClientKind, DATAGRAM, encodeClient, encodeServer, LAYOUTS, parseServer, type ServerKind } from '../Models/datagrams.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { countingSessions, everyKind, kindOf, SOURCE, type Turn, WHO, type World, world } from './datagram_world.ts';

/** Everything here is made from the table of kinds: a new one is tested as soon as it is in there, and `everyKind` has to say it. */
const CLIENT_KINDS = Object.keys(LAYOUTS.client) as ClientKind[];
const SERVER_KINDS = Object.keys(LAYOUTS.server) as ServerKind[];
const CLIENT_BY_CODE = new Map(CLIENT_KINDS.map((kind) => [LAYOUTS.client[kind].code as number, kind]));
const REFUSAL_BYTES_MAX = 68;

function layoutOf(datagram: Uint8Array): Record<string, number> {
  const kind = CLIENT_BY_CODE.get(kindOf(datagram));
  assert.ok(kind !== undefined);
  return LAYOUTS.client[kind].fields;
}

/** Where each part of a client datagram is, the transaction included. */
function partsOf(datagram: Uint8Array): { name: string; from: number; to: number }[] {
  let at = DATAGRAM.headerBytes;
  const fields = Object.entries(layoutOf(datagram)).map(([name, bytes]) => {
    at += bytes;
    return { name, from: at - bytes, to: at };
  });
  return [{ name: 'transaction', from: 4, to: DATAGRAM.headerBytes }, ...fields];
}

function oneOfEach(turns: readonly Turn[]): Turn[] {
  return [...new Map(turns.map((turn) => [kindOf(turn.up), turn])).values()];
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[at] = value;
  return changed;
}

function filled(layout: Record<string, number>, random: () => number): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(layout).map(([name, bytes]) => [name, Uint8Array.from({ length: bytes || 100 }, () => Math.floor(random() * 256))]),
  );
}

async function goodCookie({ server }: World): Promise<Uint8Array> {
  const nothing = { cookie: new Uint8Array(16), ephemeral: new Uint8Array(32), sealed: new Uint8Array(LAYOUTS.client.hello.fields.sealed) };
  const reply = await server.daemon.receive(encodeClient('hello', randomBytes(16), nothing), SOURCE);
  const retry = parseServer(reply ?? new Uint8Array(0));
  assert.ok(retry?.kind === 'retry');
  return retry.cookie;
}

/** Neither a session nor an account nor anything secret comes of it. */
function assertRefusal(reply: Uint8Array | null, about: string): void {
  if (reply === null) return;
  const kind = parseServer(reply)?.kind;
  assert.ok(kind === 'retry' || kind === 'error', `${about}: ${kind}`);
  assert.ok(reply.length <= REFUSAL_BYTES_MAX, about);
}

async function silent({ server }: World, bytes: Uint8Array, about: string): Promise<void> {
  assert.equal(await server.daemon.receive(bytes, SOURCE), null, about);
}

test('every kind of client datagram is 1200 bytes, and no answer is longer', async (t) => {
  const turns = await everyKind(await world(t));
  const said = new Set(turns.map(({ up }) => kindOf(up)));
  for (const [code, kind] of CLIENT_BY_CODE) assert.ok(said.has(code), `everyKind does not say ${kind}`);
  for (const { up, down } of turns) {
    assert.equal(up.length, DATAGRAM.clientBytes);
    assert.ok(down !== null && down.length <= up.length);
  }
});

test('every kind of client datagram cut anywhere, made longer, or with anything behind its fields gets silence', async (t) => {
  const there = await world(t);
  for (const { up } of oneOfEach(await everyKind(there))) {
    for (let length = 0; length < up.length; length += 1) await silent(there, up.subarray(0, length), `${kindOf(up)} cut to ${length}`);
    for (const more of [1, 100, 64_307]) await silent(there, Buffer.concat([up, Buffer.alloc(more)]), `${kindOf(up)} and ${more} more`);
    const end = partsOf(up).at(-1)?.to ?? 0;
    for (let at = end; at < up.length; at += 1)
      await silent(
        there,
        Uint8Array.from(up, (byte, n) => (n === at ? 1 : byte)),
        `${kindOf(up)} at ${at}`,
      );
  }
});

test('a flipped byte anywhere gets silence or a typed refusal, and never a session, a ticket or an account', async (t) => {
  const sessions = countingSessions();
  const there = await world(t, { wrap: sessions.wrap });
  const turns = oneOfEach(await everyKind(there));
  const before = sessions.ids.size;
  for (const { up } of turns) {
    for (let at = 0; at < up.length; at += 1) {
      for (const flip of [1 << (at % 8), 0xff]) {
        const changed = withByte(up, at, (up[at] ?? 0) ^ flip);
        assertRefusal(await there.server.daemon.receive(changed, SOURCE), `byte ${at} of kind ${kindOf(up)}`);
      }
    }
  }
  assert.equal(sessions.ids.size, before);
});

test('a part of one datagram put into another of its kind gets silence or a typed refusal', async (t) => {
  const there = await world(t);
  const [ones, others]: [Turn[], Turn[]] = [[], []];
  for (const [turns, username] of [
    [ones, 'alice'],
    [others, 'bob'],
  ] as const) {
    turns.push(...(await everyKind(there, { ...WHO, username })));
  }
  for (const one of ones.map(({ up }) => up)) {
    for (const other of others.map(({ up }) => up).filter((up) => kindOf(up) === kindOf(one))) {
      for (const { name, from, to } of partsOf(one)) {
        const mixed = Uint8Array.from(one);
        mixed.set(other.subarray(from, to), from);
        const isNew = Buffer.compare(mixed, one) !== 0 && Buffer.compare(mixed, other) !== 0;
        if (isNew) assertRefusal(await there.server.daemon.receive(mixed, SOURCE), `${name} of kind ${kindOf(one)}`);
      }
    }
  }
});

test('random bytes in every field, behind a good cookie, crash nothing and open nothing', async (t) => {
  const seed = 7;
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const there = await world(t);
  const cookie = await goodCookie(there);
  for (let n = 0; n < 1000; n += 1) {
    for (const kind of CLIENT_KINDS) {
      const fields = { ...filled(LAYOUTS.client[kind].fields, random), cookie } as never;
      assertRefusal(await there.server.daemon.receive(encodeClient(kind, randomBytes(16), fields), SOURCE), kind);
    }
  }
});

test('every kind of reply sent back to a daemon gets silence, padded too, and in any version', async (t) => {
  const there = await world(t);
  const heard = (await everyKind(there)).map(({ down }) => down ?? new Uint8Array(0));
  const random = seededRandom(1);
  const made = SERVER_KINDS.map((kind) => encodeServer(kind, randomBytes(16), filled(LAYOUTS.server[kind].fields, random) as never));
  for (const reply of [...heard, ...made]) {
    const padded = Buffer.alloc(DATAGRAM.clientBytes);
    padded.set(reply);
    for (let version = 0; version < 256; version += 1) {
      padded[2] = version;
      await silent(there, padded, `kind ${kindOf(reply)} version ${version}`);
    }
    await silent(there, reply, `kind ${kindOf(reply)}`);
  }
});

/** Each daemon believes that the other one asked. @returns how many replies it takes until both are silent */
async function pingPong(daemons: readonly World[], first: Uint8Array): Promise<number> {
  let bytes: Uint8Array | null = first;
  for (let replies = 0; ; replies += 1) {
    const next: Uint8Array | null =
      (await daemons[replies % 2]?.server.daemon.receive(bytes, { address: '192.0.2.1', port: 4810 })) ?? null;
    if (next === null) return replies;
    bytes = next;
    assert.ok(replies < 10);
  }
}

test('two daemons that are made to talk to each other are silent after one reply', async (t: TestContext) => {
  const daemons = [await world(t), await world(t)];
  const [there] = daemons;
  assert.ok(there !== undefined);
  const foreign = withByte((await everyKind(there))[0]?.up ?? new Uint8Array(0), 2, 9);
  for (const first of [...(await everyKind(there, { ...WHO, username: 'bob' })).map(({ up }) => up), foreign]) {
    assert.equal(await pingPong(daemons, first), 1);
  }
});

test('what is no point brings the same for every name, and every wrong proof the same refusal', async (t) => {
  const seed = 11;
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const there = await world(t);
  const { server, client } = there;
  let replies: (number | null)[] = [];
  const { cookie, state, ke3 } = LAYOUTS.client.finish.fields;
  const ke3At = DATAGRAM.headerBytes + cookie + state;
  const exchange = directExchange(async (up) => {
    const forged =
      kindOf(up) === LAYOUTS.client.finish.code
        ? Uint8Array.from(up, (byte, n) => (n >= ke3At && n < ke3At + ke3 ? Math.floor(random() * 256) : byte))
        : up;
    const down = await server.daemon.receive(forged, SOURCE);
    if (kindOf(down ?? new Uint8Array(0)) !== LAYOUTS.server.retry.code) replies.push(down === null ? null : kindOf(down));
    return down;
  });
  await client.register(exchange, WHO);
  for (let n = 0; n < 60; n += 1) {
    const ke1 = Uint8Array.from({ length: 96 }, () => (n === 0 ? 0 : Math.floor(random() * 256)));
    replies = [];
    for (const name of ['alice', 'nobody']) await client.challenge(exchange, { ke1, name }).catch(() => undefined);
    assert.equal(replies[0], replies[1]); // one in some hundreds happens to be two points
    if (n === 0) assert.equal(replies[0], null);
  }
  replies = [];
  for (let n = 0; n < 20; n += 1) await assert.rejects(client.login(exchange, WHO), { code: 'credentials_wrong' });
  assert.deepEqual(new Set(replies), new Set([LAYOUTS.server.challenge.code, LAYOUTS.server.error.code]));
});
