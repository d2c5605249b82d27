import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { type BareClient, cheapSessions, openBareClient } from '../Client/testing/auth_client.ts';
import { encodeUint32 } from '../Models/datagram_fields.ts';
import { encodeError, encodeServer, NEVER_MS } from '../Models/datagrams.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';

const WHO = { username: 'alice', password: 'correct horse battery' };
const GIVE_UP_MS = 1500;

type Forge = (transaction: Uint8Array) => Uint8Array;
const otherKey: Forge = (transaction) => encodeServer('retry', transaction, { cookie: randomBytes(16), daemonKey: randomBytes(32) });
const otherVersion: Forge = (transaction) => encodeError(transaction, 'protocol_mismatch');
const unknownError: Forge = (transaction) => encodeServer('error', transaction, { error: Uint8Array.of(200) });
const wrongPassword: Forge = (transaction) => encodeError(transaction, 'credentials_wrong');
const muchTooBusy: Forge = (transaction) => encodeServer('busy', transaction, { retryAfterMs: encodeUint32(NEVER_MS) });

/** Answers each datagram with one of its own, and only then, if at all, gives it to the daemon. */
async function forger(t: TestContext, daemon: string, forge: Forge | null) {
  const state = { forge, forged: 0, isDaemonHeard: true };
  const [front, back] = [createSocket('udp4'), createSocket('udp4')];
  t.after(() => {
    front.close();
    back.close();
  });
  let client = { address: '', port: 0 };
  front.on('message', (bytes, from) => {
    client = from;
    const pass = (): void => {
      if (state.isDaemonHeard) back.send(bytes);
    };
    if (state.forge === null) return pass();
    state.forged += 1;
    front.send(state.forge(bytes.subarray(4, 20)), from.port, from.address, pass);
  });
  back.on('message', (bytes) => front.send(bytes, client.port, client.address));
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  back.connect(Number(daemon.split(':')[1]), '127.0.0.1');
  await once(back, 'connect');
  return { state, address: `127.0.0.1:${front.address().port}` };
}

/** A session that was begun straight, and an exchange with its daemon that somebody sits on. */
async function sessionOnBadWay(t: TestContext, client: BareClient, { daemon, forge }: { daemon: string; forge: Forge | null }) {
  const straight = await client.exchange(daemon);
  t.after(() => straight.close());
  await client.register(straight, WHO);
  const granted = await client.login(straight, WHO);
  const { state, address } = await forger(t, daemon, forge);
  const watched = await client.exchange(address, { giveUpMs: GIVE_UP_MS });
  t.after(() => watched.close());
  return { granted, state, watched };
}

test('a forged RETRY stops no session: the daemon is waited for, and has another key only where it stays silent', async (t) => {
  const folder = await temporaryFolder(t);
  await using server = await startDaemon(folder);
  await using client = openBareClient();
  const { granted, state, watched } = await sessionOnBadWay(t, client, { daemon: server.address, forge: otherKey });
  const renewed = await client.renew(watched, granted);
  assert.deepEqual(renewed.grant.sessionId, granted.grant.sessionId);
  assert.ok(state.forged >= 1);
  // a wrong clock costs a RETRY of the daemon's own, which is told from the forged one by its key
  assert.deepEqual((await client.renew(watched, { ...granted, clockOffsetMs: 3_600_000 })).grant.sessionId, granted.grant.sessionId);

  state.isDaemonHeard = false;
  const begunMs = performance.now();
  await assert.rejects(client.renew(watched, granted), { code: 'server_key_changed' });
  assert.ok(performance.now() - begunMs >= GIVE_UP_MS - 50, 'it was waited for');
});

test('a forged ERROR stops no session: the daemon is waited for, and speaks another version only where it stays silent', async (t) => {
  await using server = await startDaemon(await temporaryFolder(t));
  await using client = openBareClient();
  const { granted, state, watched } = await sessionOnBadWay(t, client, { daemon: server.address, forge: null });
  const silent = [
    [otherVersion, 'protocol_mismatch'],
    [unknownError, 'protocol_mismatch'],
    [wrongPassword, 'auth_unreachable'],
  ] as const;
  for (const [forge, code] of silent) {
    state.forge = forge;
    state.isDaemonHeard = true;
    assert.deepEqual((await client.renew(watched, granted)).grant.sessionId, granted.grant.sessionId);
    state.isDaemonHeard = false;
    await assert.rejects(client.renew(watched, granted), { code });
  }
  assert.ok(state.forged >= 2 * silent.length);
});

test('a ticket that still holds is used, whatever somebody on the way answers to its renewal', async (t) => {
  const folder = await temporaryFolder(t);
  await using server = await startDaemon(join(folder, 'data'));
  const { state, address } = await forger(t, server.address, null);
  const home = join(folder, 'home');
  await cheapSessions.register({ auth: address, home, ...WHO });
  const ticket = await (await cheapSessions.login({ auth: address, home, ...WHO })).ticket();
  const leave = async (ms: number) => {
    const path = join(home, 'profile.json');
    const profile = JSON.parse(await readFile(path, 'utf8'));
    profile.sessions[0].ticketExpiresAtMs = Date.now() + profile.sessions[0].clockOffsetMs + ms;
    await writeFile(path, JSON.stringify(profile));
    return cheapSessions.resume({ home });
  };
  state.isDaemonHeard = false;
  for (const forge of [otherKey, otherVersion, unknownError, wrongPassword, muchTooBusy]) {
    state.forge = forge;
    state.forged = 0;
    assert.equal(await (await leave(40_000)).ticket(), ticket, forge.name);
    assert.ok(state.forged >= 1);
  }
  await assert.rejects((await leave(-1)).ticket(), { code: 'too_many_requests' });
});
