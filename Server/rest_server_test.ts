import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROUTES } from '../Models/routes.ts';
import { openAccounts } from '../Storage/accounts_sql.ts';
import { ticketKeysPath } from './config.ts';
import { keySet, makeSigningKey, mintTicket } from './testing/ticket_mint.ts';

const MAIN = fileURLToPath(new URL('rest_server.ts', import.meta.url));
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-main-'));
});
after(() => rm(folder, { recursive: true, force: true }));

type Server = { readonly child: ChildProcess; readonly url: string; readonly printed: string[] };

function run(environment: Record<string, string>): ChildProcess {
  const base = { DRIFTLESS_HTTP_PORT: '0', DRIFTLESS_LOGS: join(folder, 'logs') };
  return spawn(process.execPath, [MAIN], { env: { ...base, ...environment }, stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
}

async function start(environment: Record<string, string>): Promise<Server> {
  const child = run(environment);
  assert.ok(child.stdout !== null && child.stderr !== null);
  const errors = text(child.stderr);
  const printed: string[] = [];
  const lines = createInterface(child.stdout).on('line', (line) => printed.push(line));
  await Promise.race([once(lines, 'line'), once(child, 'exit')]);
  const url = /^driftless server listening on (http:\/\/\S+)$/.exec(printed[0] ?? '')?.[1];
  assert.ok(url !== undefined, printed[0] ?? (await errors));
  return { child, url, printed };
}

async function stop({ child, printed }: Server): Promise<void> {
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  assert.equal(printed.length, 1);
}

async function refused(environment: Record<string, string>): Promise<string> {
  const child = run(environment);
  assert.ok(child.stdout !== null && child.stderr !== null);
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  assert.deepEqual([code, out], [1, '']);
  return errors;
}

test('a log that is full fails no request', async () => {
  const logs = join(folder, 'full');
  await mkdir(logs);
  await symlink('/dev/full', join(logs, 'server.log'));
  const server = await start({ DRIFTLESS_DATA: join(folder, 'of-full'), DRIFTLESS_LOGS: logs, DRIFTLESS_LOG_LEVEL: 'debug' });
  for (let n = 0; n < 3; n += 1) assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  await stop(server);
});

test('it starts before the daemon ever ran, says so, and takes tickets once there are keys', async () => {
  const data = join(folder, 'data');
  const server = await start({ DRIFTLESS_DATA: data, DRIFTLESS_LOG_LEVEL: 'debug' });
  const ready = await fetch(`${server.url}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /no ticket keys yet/);
  const key = makeSigningKey();
  const authorization = `Bearer ${await mintTicket(key, Date.now())}`;
  const whoami = async (): Promise<Response> => fetch(`${server.url}${ROUTES.whoami}`, { headers: { authorization } });
  assert.equal((await whoami()).status, 401);

  const accounts = await openAccounts({ kind: 'sqlite', file: join(data, 'accounts.db') });
  const [id, sessionId, deviceId] = ['1'.repeat(32), '3'.repeat(32), '2'.repeat(32)]; // those of the ticket
  const ksf = { memoryKiB: 8, iterations: 1, parallelism: 1 };
  await accounts.addAccount({ id, name: 'alice', role: 'user', disabled: false, record: Buffer.alloc(192), ksf }, 1);
  await mkdir(join(data, 'auth'));
  await writeFile(ticketKeysPath(data), await keySet([key]));
  await accounts.openSession({ id: sessionId, userId: id, deviceId, deviceName: 'desk', atMs: Date.now() });
  const deadline = Date.now() + 30_000;
  while ((await whoami()).status !== 200) assert.ok(Date.now() < deadline);
  while ((await fetch(`${server.url}/readyz`)).status !== 200) assert.ok(Date.now() < deadline);

  assert.match(await refused({ DRIFTLESS_DATA: data }), /\(data_folder_locked\)/);
  const port = new URL(server.url).port;
  assert.match(
    await refused({ DRIFTLESS_DATA: join(folder, 'other'), DRIFTLESS_HTTP_PORT: port }),
    new RegExp(`${port}.*\\(port_in_use\\)`),
  );
  await stop(server);
  await accounts.close();

  const log = await readFile(join(folder, 'logs', 'server.log'), 'utf8');
  for (const line of log.trim().split('\n')) JSON.parse(line);
  assert.ok(log.includes('"/v1/whoami"'));
  assert.ok(!log.includes(authorization.slice(7)));
});

test('it starts again on the same folder after it was killed', async () => {
  const environment = { DRIFTLESS_DATA: join(folder, 'killed') };
  const first = await start(environment);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  await stop(await start(environment));
});

test('a folder that cannot be used and a value that is none end it with a typed message', async () => {
  await writeFile(join(folder, 'file'), '');
  assert.match(await refused({ DRIFTLESS_DATA: join(folder, 'file') }), /\(data_folder_unusable\)/);
  assert.match(await refused({ DRIFTLESS_DATA: join(folder, 'file', 'below') }), /\(data_folder_unusable\)/);
  assert.match(await refused({ DRIFTLESS_HTTP_PORT: 'many' }), /DRIFTLESS_HTTP_PORT.*\(config_invalid\)/);
  assert.match(await refused({ DRIFTLESS_DATA: join(folder, 'x'), DRIFTLESS_HOST: '192.0.2.1' }), /192\.0\.2\.1.*\(config_invalid\)/);
  assert.match(await refused({ DRIFTLESS_LOGS: join(folder, 'file', 'logs') }), /logs.*\(config_invalid\)/);
});
