import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { openBareClient } from '../Client/testing/auth_client.ts';
import { encodeServer } from '../Models/datagrams.ts';

const WHO = { username: 'alice', password: 'correct horse battery' };
const GIVE_UP_MS = 1500;

/** Answers each datagram with a RETRY of its own, and only then, if at all, gives it to the daemon. */
async function forger(t: TestContext, daemon: string) {
  const state = { forged: 0, isDaemonHeard: true };
  const [front, back] = [createSocket('udp4'), createSocket('udp4')];
  t.after(() => {
    front.close();
    back.close();
  });
  let client = { address: '', port: 0 };
  front.on('message', (bytes, from) => {
    client = from;
    state.forged += 1;
    const retry = encodeServer('retry', bytes.subarray(4, 20), { cookie: randomBytes(16), daemonKey: randomBytes(32) });
    front.send(retry, from.port, from.address, () => state.isDaemonHeard && back.send(bytes));
  });
  back.on('message', (bytes) => front.send(bytes, client.port, client.address));
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  back.connect(Number(daemon.split(':')[1]), '127.0.0.1');
  await once(back, 'connect');
  return { state, address: `127.0.0.1:${front.address().port}` };
}

test('a forged RETRY stops no session: the daemon is waited for, and has another key only where it stays silent', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-forged-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await using server = await startDaemon(folder);
  await using client = openBareClient();
  const straight = await client.exchange(server.address);
  t.after(() => straight.close());
  await client.register(straight, WHO);
  const granted = await client.login(straight, WHO);
  const { state, address } = await forger(t, server.address);
  const watched = await client.exchange(address, { giveUpMs: GIVE_UP_MS });
  t.after(() => watched.close());
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
