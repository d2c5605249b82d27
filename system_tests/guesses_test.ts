import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { client as opaque, server as opaqueLibrary, ready } from '@serenity-kit/opaque';
import pino from 'pino';
import { GUESS_LIMITS } from '../Authentication/guess_limit.ts';
import { createOpaqueServer } from '../Authentication/opaque_server.ts';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { type BareClient, cheapSessions, directExchange, type Known, openBareClient } from '../Client/testing/auth_client.ts';
import { decodeKsf, decodeUint32 } from '../Models/datagram_fields.ts';
import { NEVER_MS, parseServer } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { privateEnvironment, startProcess } from '../processes.ts';

const MINUTE_MS = 60_000;
const WHO = { username: 'alice', password: 'correct horse battery' };
const SOURCE = { address: '203.0.113.5', port: 40_000 };
const HOME = { address: '127.0.0.1', port: 40_001 };

before(() => ready);

function newKe1(password = 'a guess'): Uint8Array {
  return Buffer.from(opaque.startLogin({ password }).startLoginRequest, 'base64url');
}

type World = {
  readonly server: DaemonFixture;
  readonly client: BareClient;
  readonly clock: { atMs: number };
  /** A guess of which no more is heard than KE2. @returns 0 if it was answered, else how long to wait in ms; `null` for silence */
  guess(name: string, options?: { ke1?: Uint8Array; known?: Known }): Promise<number | null>;
  readonly exchange: ReturnType<typeof directExchange>;
};

async function world(t: TestContext, options: Parameters<typeof startDaemon>[1] = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-guesses-'));
  const clock = { atMs: 1_800_000_000_000 };
  const server = await startDaemon(folder, { guessLimits: GUESS_LIMITS, now: () => clock.atMs, ...options });
  const client = openBareClient();
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  const exchange = directExchange((up) => server.daemon.receive(up, HOME));
  return {
    server,
    client,
    clock,
    exchange,
    async guess(name, { ke1 = newKe1(), known } = {}) {
      let waitMs: number | null = null;
      const stranger = directExchange(async (up) => {
        const down = await server.daemon.receive(up, SOURCE);
        const reply = parseServer(down ?? new Uint8Array(0));
        waitMs = reply === null ? null : reply.kind === 'busy' ? decodeUint32(reply.retryAfterMs) : 0;
        return down;
      });
      const isRefused = (error: Error): undefined => assert.equal(error.message, 'no believable answer') as undefined;
      await client.challenge(stranger, { ke1, name, ...(known === undefined ? {} : { known }) }).catch(isRefused);
      return waitMs;
    },
  };
}

test('whoever only reads KE2 gets ten guesses, for a name that somebody has and for one that nobody has alike', async (t) => {
  const { guess, client, exchange, clock } = await world(t);
  await client.register(exchange, WHO);
  for (const name of ['alice', 'nobody', 'n o t a name\u0000']) {
    const said: (number | null)[] = [];
    for (let n = 0; n < 11; n += 1) said.push(await guess(name));
    assert.deepEqual(said, [...Array.from({ length: 10 }, () => 0), 1000], name);
    clock.atMs += MINUTE_MS;
    assert.equal(await guess(name), 9 * MINUTE_MS);
    clock.atMs += 9 * MINUTE_MS;
    assert.equal(await guess(name), 0);
    clock.atMs += MINUTE_MS;
    assert.equal(await guess(name.toUpperCase()), 19 * MINUTE_MS, 'another spelling is the same name');
  }
});

test('what a registration asks of OPAQUE is counted for the name, too, and lets nobody guess at a password to come', async (t) => {
  const { server, guess, client, exchange, clock } = await world(t, { registration: 'open' });
  const evaluate = () => {
    const { registrationRequest } = opaque.startRegistration({ password: 'a guess' });
    return client.evaluate(exchange, { request: Buffer.from(registrationRequest, 'base64url'), name: 'alice' });
  };
  for (let n = 0; n < 10; n += 1) await evaluate();
  await assert.rejects(evaluate(), /no believable answer/);
  assert.deepEqual(server.audited.at(-1), { what: 'registration', result: 'too_many_requests', address: HOME.address });
  for (let n = 0; n < 10; n += 1) assert.equal(await guess('alice'), 0, 'who may only log in has another count');
  assert.equal(await guess('alice'), 1000);
  await client.register(exchange, { ...WHO, username: 'bob' });
  clock.atMs += 10 * MINUTE_MS;
  assert.equal(await guess('alice'), 0); // the next would have to wait for twenty minutes
  await client.register(exchange, WHO);
  await client.login(exchange, WHO); // what strangers guessed before there was a password locks nobody out
  await assert.rejects(evaluate(), { code: 'name_taken' });
});

test('who registers a name at which too much was tried is told what is left to do', async (t) => {
  const guessLimits = { ...GUESS_LIMITS, free: 1, max: 1 };
  const { server, client, exchange } = await world(t, { registration: 'open', now: Date.now, guessLimits });
  const { registrationRequest } = opaque.startRegistration({ password: 'a guess' });
  await client.evaluate(exchange, { request: Buffer.from(registrationRequest, 'base64url'), name: 'alice' });
  const home = await mkdtemp(join(tmpdir(), 'driftless-guesses-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  await assert.rejects(cheapSessions.register({ ...WHO, auth: server.address, home }), {
    code: 'too_many_requests',
    message: /at this name: take another one, or ask the administrator/,
  });
});

test('where everybody may register, one source elsewhere makes so many accounts, then one each so often', async (t) => {
  const accountRate = { perSecond: 1 / 600, burst: 2 };
  const { server, client, exchange, clock } = await world(t, { registration: 'open', accountRate });
  const through = (source: typeof SOURCE) => directExchange((up) => server.daemon.receive(up, source));
  const contact = { onFirstContact: () => true };
  const register = (way: ReturnType<typeof directExchange>) =>
    client.register(way, { ...WHO, username: `u${randomBytes(4).toString('hex')}` }, contact);
  for (let n = 0; n < 2; n += 1) await register(through(SOURCE));
  await assert.rejects(register(through({ ...SOURCE, port: 9 })), /no believable answer/);
  await register(through({ ...SOURCE, address: '203.0.113.6' }));
  for (let n = 0; n < 4; n += 1) await register(exchange); // on the machine itself
  clock.atMs += 10 * MINUTE_MS;
  await register(through(SOURCE));
  await assert.rejects(register(through(SOURCE)), /no believable answer/);
});

/** The short form of `npm run test:timing`, which measures how long they take. */
test('a name that nobody has costs the same steps as one that somebody has', async (t) => {
  const steps: string[] = [];
  const noting = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return typeof value === 'object' && value !== null ? noting(value) : value;
        return (...input: unknown[]) => {
          steps.push(String(name));
          return value.apply(target, input);
        };
      },
    });
  const opaqueServer = createOpaqueServer(opaqueLibrary.createSetup());
  const { guess, client, exchange } = await world(t, { wrap: noting, opaque: noting(opaqueServer) });
  await client.register(exchange, WHO);
  const known = { deviceId: randomBytes(16), deviceProof: randomBytes(16) };
  for (const options of [{}, { known }]) {
    for (const name of ['alice', 'nobody']) {
      steps.length = 0;
      assert.equal(await guess(name, options), 0);
      assert.deepEqual(steps, ['accountForLogin', 'spend', 'startLogin'], name);
    }
  }
});

test('after the stretching of new accounts was changed, a name that nobody has asks for what accounts have', async (t) => {
  const before = { memoryKiB: 128, iterations: 2, parallelism: 1 };
  const folder = await temporaryFolder(t);
  await using client = openBareClient();
  const at = (daemon: DaemonFixture['daemon']) => directExchange((up) => daemon.receive(up, HOME));
  await using first = await startDaemon(folder, { ksf: before });
  await client.register(at(first.daemon), WHO);
  await first[Symbol.asyncDispose]();
  await using second = await startDaemon(folder);
  const ksfOf = async (name: string) => decodeKsf((await client.challenge(at(second.daemon), { ke1: newKe1(), name })).subarray(320));
  for (const name of ['alice', 'nobody', 'no one', 'someone else']) assert.deepEqual(await ksfOf(name), before, name);
});

test('that nobody can be answered is told once a second, however many ask', async (t) => {
  const said: { untold: number }[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => void said.push(JSON.parse(line)) });
  const gone = () => Promise.reject(new AppError('storage_unavailable', 'the database does not answer'));
  const { guess, clock } = await world(t, { log, wrap: (accounts) => ({ ...accounts, accountForLogin: gone }) });
  for (let n = 0; n < 5; n += 1) assert.equal(await guess('alice'), 1000);
  clock.atMs += 1000;
  await guess('alice');
  assert.deepEqual(
    said.map(({ untold }) => untold),
    [0, 4],
  );
});

test('after a hundred in a row waiting does not help, until the user logs in from a known device', async (t) => {
  const { guess, client, exchange, clock } = await world(t);
  await client.register(exchange, WHO);
  const { grant } = await client.login(exchange, WHO);
  for (let n = 0; n < 100; n += 1) {
    assert.equal(await guess('alice'), 0);
    clock.atMs += 61 * MINUTE_MS;
  }
  assert.equal(await guess('alice'), NEVER_MS);
  clock.atMs += 365 * 24 * 60 * MINUTE_MS;
  assert.equal(await guess('alice'), NEVER_MS);
  const refusal = client.login(exchange, WHO);
  await assert.rejects(refusal, /no believable answer/);
  await client.login(exchange, WHO, grant); // from the device that is known
  assert.equal(await guess('alice'), 0);
  clock.atMs += MINUTE_MS;
  assert.equal(await guess('alice'), 19 * MINUTE_MS, 'strangers are as slow as before');
  await client.login(exchange, WHO, grant);
});

test('strangers cannot lock out a device that is known, which has guesses of its own', async (t) => {
  const { guess, client, exchange } = await world(t);
  await client.register(exchange, WHO);
  const { grant } = await client.login(exchange, WHO);
  for (let n = 0; n < 20; n += 1) await guess('alice');
  await assert.rejects(client.login(exchange, WHO), /no believable answer/);
  const known = { deviceId: grant.deviceId, deviceProof: grant.deviceProof };
  for (let n = 0; n < 20; n += 1) await client.login(exchange, WHO, known);
  for (let n = 0; n < 10; n += 1) assert.equal(await guess('alice', { known }), 0);
  assert.equal(await guess('alice', { known }), 1000);
});

test('a device is known by its proof only: for its user, its id, this daemon, and while it is a device of the user', async (t) => {
  const { guess, client, exchange } = await world(t);
  const bob = { ...WHO, username: 'bob' };
  for (const who of [WHO, bob]) await client.register(exchange, who);
  const { grant } = await client.login(exchange, WHO);
  const good = { deviceId: grant.deviceId, deviceProof: grant.deviceProof };
  const others = (await client.login(exchange, bob)).grant;
  for (let n = 0; n < 10; n += 1) assert.equal(await guess('alice'), 0);
  const flipped = Uint8Array.from(good.deviceProof);
  flipped[15] = (flipped[15] ?? 0) ^ 1;
  for (const known of [
    { ...good, deviceProof: flipped },
    { ...good, deviceId: randomBytes(16) },
    { deviceId: others.deviceId, deviceProof: others.deviceProof },
    { deviceId: good.deviceId, deviceProof: new Uint8Array(16) },
  ]) {
    assert.equal(await guess('alice', { known }), 1000);
  }
  assert.equal(await guess('alice', { known: good }), 0);
  const elsewhere = await client.login(exchange, WHO, good);
  await client.change(exchange, elsewhere, { kind: 'revokeDevice', deviceId: Buffer.from(good.deviceId).toString('hex') });
  for (let n = 0; n < 10; n += 1) await guess('alice');
  assert.equal(await guess('alice', { known: good }), 1000);
});

test('a right password forgives the guesses before it; a login that is given up does not', async (t) => {
  const { guess, client, exchange } = await world(t);
  await client.register(exchange, WHO);
  for (let round = 0; round < 3; round += 1) {
    for (let n = 0; n < 9; n += 1) assert.equal(await guess('alice'), 0);
    await client.login(exchange, WHO);
  }
  await assert.rejects(client.login(exchange, { ...WHO, password: 'not this one' }), { code: 'credentials_wrong' });
  for (let n = 0; n < 9; n += 1) assert.equal(await guess('alice'), 0);
  assert.equal(await guess('alice'), 1000);
});

test('one KE1 is one guess for a name, in however many boxes, at once or one after another; junk behind it is none', async (t) => {
  const { guess, client, exchange } = await world(t);
  const ke1 = newKe1();
  assert.deepEqual(
    await Promise.all(Array.from({ length: 20 }, () => guess('alice', { ke1 }))),
    Array.from({ length: 20 }, () => 0),
  );
  for (let n = 0; n < 20; n += 1) assert.equal(await guess('alice', { ke1 }), 0);
  for (let n = 0; n < 9; n += 1) assert.equal(await guess('alice'), 0);
  assert.equal(await guess('alice'), 1000);
  assert.equal(await guess('alice', { ke1 }), 0, 'what was answered is answered again');
  const longer = Buffer.concat([ke1, Buffer.alloc(1)]);
  await assert.rejects(client.challenge(exchange, { ke1: longer, name: 'alice' }), /must have 96 bytes/); // it has no place on the wire
});

test('made-up names leave no more rows than the limit, and a name with many guesses stays counted', async (t) => {
  const { guess, server } = await world(t);
  for (let n = 0; n < 10; n += 1) await guess('alice');
  for (let n = 0; n < 50; n += 1) await guess(`made-up-${n}`);
  assert.equal(await server.accounts.guesses.trim(20), 31);
  assert.equal(await guess('alice'), 1000);
});

test('guesses are still counted after the daemon was killed in the middle', async (t) => {
  const folder = await temporaryFolder(t);
  const env = await privateEnvironment(folder, process.env);
  await using client = openBareClient();
  for (let round = 0; round < 2; round += 1) {
    const daemon = await startProcess('auth', { env, folder });
    const exchange = await client.exchange(new URL(daemon.url).host);
    try {
      const guess = () => client.challenge(exchange, { ke1: newKe1(), name: 'alice' });
      if (round === 0) for (let n = 0; n < 10; n += 1) await guess();
      else
        await assert.rejects(
          guess(),
          (error) => error instanceof AppError && error.code === 'too_many_requests' && /10 minutes/.test(error.message),
        );
    } finally {
      exchange.close();
      await daemon.kill();
    }
  }
});

test('the client keeps its proof over logout, so a profile that logged in before is not held up by strangers', async (t) => {
  const { guess, server } = await world(t, { now: Date.now });
  const home = await temporaryFolder(t);
  const options = { ...WHO, auth: server.address, home };
  await cheapSessions.register(options);
  await (await cheapSessions.login(options)).logout();
  assert.match(await readFile(join(home, 'profile.json'), 'utf8'), /ALICE": "[0-9a-f]{32}"/);
  for (let n = 0; n < 11; n += 1) await guess('alice');
  await (await cheapSessions.login({ ...options, username: 'Alice' })).close();
});
