import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Driftless, register, resume } from '../Client/client.ts';
import { AppError } from '../Models/errors.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { makeCertificate } from '../Server/tls_certificate.ts';
import { readServerPins } from '../Storage/server_pins.ts';

/** Both processes and the client as they are away from loopback: HTTPS with a certificate that no authority knows. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const ADMIN = fileURLToPath(new URL('../Authentication/admin/driftless_admin.js', import.meta.url));
const PASSWORD = 'correct horse battery staple';

let folder: string;
let data: string;
let home: string;
let system: System;
let me: Driftless;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-https-'));
  data = join(folder, 'data');
  home = join(folder, 'home');
  system = await startSystem({ env: { ...(await privateEnvironment(folder, process.env)), DRIFTLESS_TLS: 'on' }, folder });
  me = await register({ username: 'alice', password: PASSWORD, auth: system.auth, home });
});
after(async () => {
  await me.close();
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function cli(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [BIN, ...words], { env: { DRIFTLESS_HOME: home }, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, out, err };
}

const storedPins = async (): Promise<string[]> => JSON.parse(await readFile(join(home, 'profile.json'), 'utf8')).sessions[0].pins;

test('the pins come with the ticket, and everything goes over HTTPS: requests, transfers in threads, events', async () => {
  assert.match(system.httpUrl, /^https:/);
  assert.equal(me.serverUrl, system.httpUrl);
  assert.deepEqual(await storedPins(), await readServerPins(data));
  await me.createFolder('/reports');
  const large = join(folder, 'large');
  await writeFile(large, Buffer.alloc(9 << 20, 'driftless'));
  const put = await me.put([{ local: large, remote: '/reports/large' }]);
  assert.deepEqual(put.failures, []);
  const back = join(folder, 'back');
  assert.deepEqual((await me.get([{ remote: '/reports/large', local: back }])).failures, []);
  assert.deepEqual(await readFile(back), await readFile(large));
  const stop = new AbortController();
  let heard = 0;
  for await (const _event of me.events({ since: 'start', signal: stop.signal })) {
    heard += 1;
    stop.abort();
  }
  assert.equal(heard, 1);
});

test('curl is told the pins by the command line, and is what it was with any other', async () => {
  const { out, code, err } = await cli('ticket', '--curl');
  assert.deepEqual([code, err], [0, '']);
  const run = async (config: string): Promise<{ code: number | null; out: string }> => {
    const child = spawn('curl', ['-sS', '--config', '-', `${system.httpUrl}/v1/whoami`], { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.end(config);
    const [answer, [ended]] = await Promise.all([text(child.stdout), once(child, 'close')]);
    return { code: ended as number | null, out: answer };
  };
  assert.equal(JSON.parse((await run(out)).out).user, 'alice');
  const other = out.replace(/sha256\/\/[^;"]+/g, `sha256//${Buffer.alloc(32).toString('base64')}`);
  assert.equal((await run(other)).code, 90);
});

test('a client lives through the replacement of the key without asking anybody, and through two that it slept through', async () => {
  const pins = await storedPins();
  await replaceKey();
  await using awake = await resume({ home });
  assert.equal((await awake.whoami()).user, 'alice');
  assert.deepEqual(await storedPins(), pins, 'it knew the next one');
  await replaceKey();
  await until(async () => (await readServerPins(data))[0] !== pins[1]);
  await until(async () => {
    await using slept = await resume({ home });
    return await slept.whoami().then(
      ({ user }) => user === 'alice',
      (error) => {
        if (!(error instanceof AppError) || error.code !== 'server_certificate_changed') throw error;
        return false; // the daemon looks every second
      },
    );
  });
  assert.notDeepEqual(await storedPins(), pins, 'it asked the daemon');
  assert.ok((await storedPins()).includes((await readServerPins(data))[0] ?? ''));
  const shown = spawn(process.execPath, [ADMIN, 'audit', '--what', 'certificate_changed'], { env: { DRIFTLESS_DATA: data } });
  assert.match(await text(shown.stdout), /in use/);
});

async function replaceKey(): Promise<void> {
  const [old] = await readServerPins(data);
  const child = spawn(process.execPath, [ADMIN, 'keys', 'replace-certificate'], { env: { DRIFTLESS_DATA: data }, stdio: 'ignore' });
  assert.deepEqual(await once(child, 'close'), [0, null]);
  await until(async () => (await readServerPins(data))[0] !== old);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const fromMs = performance.now(); !(await condition()); await sleep(20)) assert.ok(performance.now() - fromMs < 30_000);
}

/** In the server's place, with a key of its own. */
async function impostor(): Promise<AsyncDisposable & { readonly told: () => string; readonly connections: () => number }> {
  await system.running.server.stop();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const cert = await makeCertificate({ key: privateKey, names: ['127.0.0.1'], atMs: Date.now() });
  const server = createServer({ key: privateKey.export({ format: 'pem', type: 'pkcs8' }), cert });
  let [told, connections] = ['', 0];
  server.on('secureConnection', (socket) => {
    connections += 1;
    socket.on('data', (piece: Buffer) => {
      told += piece.toString('latin1');
    });
  });
  server.listen(Number(new URL(system.httpUrl).port), '127.0.0.1');
  await once(server, 'listening');
  return {
    told: () => told,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await system.restart('server');
    },
  };
}

/** But what is for the daemon, when that is slow to answer over UDP: it may go any way, as everybody may see it. */
function assertToldNothing(text: string): void {
  const requests = [...text.matchAll(/^(?:\S*?)([A-Z]{3,7} \/\S*) HTTP\/1\.1\r$/gm)].map(([, request]) => request);
  assert.deepEqual(
    requests.filter((request) => request !== 'POST /v1/auth'),
    [],
  );
  assert.doesNotMatch(text, /^(authorization|cookie):|bearer/im);
  if (requests.length === 0) assert.equal(text, '');
}

test('an impostor on the server’s port gets not one byte of a command, which says what it is about', async () => {
  {
    await using there = await impostor();
    const { code, out, err } = await cli('ls', '/');
    assert.equal(code, 3, `${out}${err}`);
    assert.match(err, /certificate/);
    const source = join(folder, 'large');
    assert.equal((await cli('put', source, '/again')).code, 3);
    await using client = await resume({ home });
    await assert.rejects(client.whoami(), (error) => error instanceof AppError && error.code === 'server_certificate_changed');
    assert.ok(there.connections() >= 3);
    assertToldNothing(there.told());
  }
  assert.equal((await me.whoami()).user, 'alice');
});

test('a sync that meets an impostor of the server ends, says why, and tells it nothing', async () => {
  const local = join(folder, 'synced');
  await using client = await resume({ home });
  {
    await using sync = await client.sync(local, '/synced', { watch: false });
    await sync.once();
    const ended = Promise.withResolvers<AppError>();
    sync.on((event) => {
      if (event.type === 'state' && event.state.state === 'ended') ended.resolve(event.state.error);
    });
    await using there = await impostor();
    await writeFile(join(local, 'secret'), 'not for everybody');
    sync.start();
    assert.equal((await ended.promise).code, 'server_certificate_changed');
    assert.equal(sync.status().error?.code, 'server_certificate_changed');
    assert.ok(there.connections() > 0);
    assertToldNothing(there.told());
  }
  await using again = await client.sync(local, '/synced', { watch: false });
  assert.ok((await again.once()).complete);
  assert.deepEqual(
    (await Array.fromAsync(client.list('/synced'))).map(({ size }) => size),
    [17],
  );
});

test('the private keys are for their owner only, and the log has no word of them', async () => {
  const path = join(data, 'server', 'tls.json');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const { key, nextKey } = JSON.parse(await readFile(path, 'utf8')) as { key: string; nextKey: string };
  const log = await readFile(join(folder, 'logs', 'server.log'), 'utf8');
  for (const secret of [key, nextKey]) assert.ok(!log.includes(secret.split('\n')[1] ?? '?'));
});
