import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { register, resume } from '../Client/client.ts';
import { directExchange, openBareClient } from '../Client/testing/auth_client.ts';
import { AppError } from '../Models/errors.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { privateEnvironment, startSystem } from '../processes.ts';

/** Sessions of people at a prompt, which end when nothing is done in them. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const WHO = { username: 'alice', password: 'correct horse battery' };
const SOURCE = { address: '127.0.0.1', port: 40_000 };
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('a session at a prompt ends when nothing is heard for so long, is told why, and its login goes on', async (t) => {
  const clock = { atMs: Date.now() };
  await using server = await startDaemon(await temporaryFolder(t), {
    sessionRules: { idleMs: 100_000, max: 100, maxPerUser: 100 },
    now: () => clock.atMs,
  });
  await using client = openBareClient();
  const exchange = directExchange((up) => server.daemon.receive(up, SOURCE));
  await client.register(exchange, WHO);
  const login = await client.login(exchange, WHO);
  const prompt = await client.begin(exchange, login);
  assert.deepEqual([prompt.grant.idleS, login.grant.idleS], [100, 0]);
  assert.deepEqual(prompt.grant.deviceId, login.grant.deviceId);
  assert.notDeepEqual(prompt.grant.sessionId, login.grant.sessionId);
  const stored = () => server.accounts.session(hex(prompt.grant.sessionId));
  assert.deepEqual([(await stored())?.state, (await stored())?.interactive], ['live', true]);

  for (let n = 0; n < 3; n += 1) {
    clock.atMs += 100_000;
    await server.daemon.sweep();
    await client.renew(exchange, prompt); // something is done just in time
  }
  const offset = (granted: typeof prompt) => ({ ...granted, clockOffsetMs: clock.atMs - Date.now() });
  clock.atMs += 100_001;
  const isIdle = (error: unknown): boolean => error instanceof AppError && error.code === 'session_unknown' && error.reason === 'idle';
  await assert.rejects(client.renew(exchange, offset(prompt)), isIdle); // also before it was swept
  await server.daemon.sweep();
  assert.equal((await stored())?.endReason, 'idle');
  await assert.rejects(client.begin(exchange, offset(prompt)), isIdle);
  await client.renew(exchange, offset(login));
  assert.equal((await server.accounts.endedSessions(0)).length, 1);
});

test('of a login that was ended nobody begins another session, and what began from it is its own', async (t) => {
  await using server = await startDaemon(await temporaryFolder(t));
  await using client = openBareClient();
  const exchange = directExchange((up) => server.daemon.receive(up, SOURCE));
  await client.register(exchange, WHO);
  const login = await client.login(exchange, WHO);
  const prompt = await client.begin(exchange, login);
  await client.logout(exchange, login);
  await assert.rejects(client.begin(exchange, login), { code: 'session_unknown', reason: 'logout' });
  await client.renew(exchange, prompt);
  await client.change(exchange, prompt, { kind: 'revokeDevice', deviceId: hex(prompt.grant.deviceId) });
  await assert.rejects(client.renew(exchange, prompt), { code: 'session_unknown', reason: 'revoked' });
});

test('whoever holds a session fills no place that its owner needs to log in and end it', async (t) => {
  await using server = await startDaemon(await temporaryFolder(t), { sessionRules: { idleMs: null, max: 100, maxPerUser: 4 } });
  await using client = openBareClient();
  const exchange = directExchange((up) => server.daemon.receive(up, SOURCE));
  await client.register(exchange, WHO);
  const stolen = await client.login(exchange, WHO);
  for (let n = 0; n < 5; n += 1) await client.begin(exchange, stolen);
  const own = await client.login(exchange, WHO); // on another device
  await client.change(exchange, own, { kind: 'revokeDevice', deviceId: hex(stolen.grant.deviceId) });
  await assert.rejects(client.begin(exchange, stolen), { code: 'session_unknown', reason: 'revoked' });
});

test('the shell tells that its session has ended, asks to connect, and what the device has goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const env = { ...(await privateEnvironment(folder, process.env)), DRIFTLESS_IDLE_TIMEOUT: '3' };
  await using system = await startSystem({ env, folder, showErrors: true });
  const home = join(folder, 'home');
  await using device = await register({ ...WHO, auth: system.auth, home });
  const child = spawn(process.execPath, [BIN, 'shell'], { cwd: folder, env: { DRIFTLESS_HOME: home, DRIFTLESS_AUTH: system.auth } });
  t.after(() => child.kill('SIGKILL'));
  const said = { out: '', err: '' };
  child.stdout.on('data', (bytes) => {
    said.out += bytes;
  });
  child.stderr.on('data', (bytes) => {
    said.err += bytes;
  });
  const until = async (what: 'out' | 'err', text: string): Promise<void> => {
    const deadline = performance.now() + 20_000;
    while (!said[what].includes(text)) {
      assert.ok(performance.now() < deadline, `no "${text}" in ${JSON.stringify(said)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const over = 'the session has ended: nothing was done in it; "connect" begins another';
  await until('err', `${over}\n`); // also where nothing was ever typed
  said.err = '';
  child.stdin.write('connect\nmkdir /one\n');
  await until('out', 'made /one');
  assert.deepEqual((await device.sessions()).map(({ interactive }) => interactive).sort(), [false, true]);
  const idleFrom = performance.now();
  await until('err', `${over}\n`);
  assert.ok(performance.now() - idleFrom < 20_000); // three seconds, and four more where the machine has nothing else to do
  child.stdin.write('mkdir /two\n');
  await until('err', `driftless: ${over} (session_unknown)`);
  assert.deepEqual(
    (await device.sessions()).map(({ interactive }) => interactive),
    [false],
  );
  child.stdin.write('connect\nmkdir /three\n');
  await until('out', 'made /three');
  child.stdin.end();
  assert.deepEqual(await once(child, 'close'), [3, null]);
  assert.doesNotMatch(said.out, /two/);
  assert.deepEqual(
    (await device.sessions()).map(({ interactive }) => interactive),
    [false],
  );
  await using other = await resume({ home, interactive: true });
  assert.deepEqual([other.idleMs, device.idleMs, await other.ended(), await device.ended()], [3000, null, null, null]);
});
