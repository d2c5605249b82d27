import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdir, open, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect } from '../Client/client.ts';
import { encodeClient } from '../Models/datagrams.ts';
import { OwnTime } from '../Models/testing/processor_time.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { freePort, type ProcessName, type Running, startProcess } from '../processes.ts';

const SYSTEMD = new URL('../docs/systemd/', import.meta.url);
const ADMIN = fileURLToPath(new URL('../Authentication/admin/driftless_admin.js', import.meta.url));
const PASSWORD = 'pass phräse of many';
const SKIPPED = process.getuid?.() === 0 ? false : 'only root can become other users';
const IDS: Readonly<Record<string, number>> = { root: 0, driftless: 64_000, 'driftless-auth': 64_001, 'driftless-server': 64_002 };
type Who = 'driftless-auth' | 'driftless-server';
const runAs = (who: Who) => ({ uid: IDS[who] ?? 0, gid: IDS.driftless ?? 0 });

/** The folders as the installed file has them, below one of the test. */
async function makeFolders(root: string): Promise<void> {
  const lines = (await readFile(new URL('driftless-tmpfiles.conf', SYSTEMD), 'utf8')).split('\n').filter((line) => /^[a-zA-Z]/.test(line));
  for (const line of lines) {
    const [type, path = '', mode = '', user = '', group = '', , target = ''] = line.split(/\s+/);
    const place = join(root, path);
    await mkdir(dirname(place), { recursive: true });
    if (type === 'L') {
      await symlink(join(root, target), place);
      continue;
    }
    if (type === 'd') await mkdir(place);
    else await (await open(place, 'a')).close();
    await chown(place, IDS[user] ?? -1, IDS[group] ?? -1);
    await chmod(place, Number.parseInt(mode, 8));
  }
}

/** What is promised to take no longer than two seconds. */
async function soon(what: string, isSo: () => Promise<boolean>): Promise<void> {
  using time = new OwnTime();
  for (; !(await isSo()); await sleep(50)) assert.ok(time.ms < 2500, what);
}

async function system(t: TestContext) {
  const root = await temporaryFolder(t);
  await chmod(root, 0o755);
  await makeFolders(root);
  const umask = process.umask(0o027); // of the units
  t.after(() => process.umask(umask));
  const ports = { DRIFTLESS_AUTH_PORT: String(await freePort('udp')), DRIFTLESS_HTTP_PORT: String(await freePort('tcp')) };
  const envOf = (who: Who): NodeJS.ProcessEnv => ({
    PATH: process.env.PATH,
    DRIFTLESS_DATA: join(root, 'var/lib', who),
    DRIFTLESS_LOGS: join(root, 'var/log', who),
    ...ports,
  });
  const start = async (name: ProcessName): Promise<Running> => {
    const who = `driftless-${name}` as const;
    const running = await startProcess(name, { env: envOf(who), folder: root, ...runAs(who) });
    t.after(() => running.stop());
    return running;
  };
  const auth = await start('auth');
  const secrets = join(root, 'var/lib/driftless-auth/auth/secrets.json');
  const server = await start('server');

  /** `driftless-admin`, as the user that the command is for. */
  async function admin(who: Who, words: string[], input = ''): Promise<string> {
    const child = spawn(process.execPath, [ADMIN, ...words], { cwd: root, env: envOf(who), stdio: 'pipe', ...runAs(who) });
    child.stdin.end(input);
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    assert.equal(child.exitCode, 0, `${words.join(' ')}: ${err}`);
    return out;
  }
  return { root, secrets, auth, server, start, admin, address: auth.url.slice('udp://'.length), home: join(root, 'home') };
}

test('daemon and server run as two users that may do no more than they must, and are administered so', {
  skip: SKIPPED,
}, async (t) => {
  const { root, secrets, auth, server, start, admin, address, home } = await system(t);
  await admin('driftless-auth', ['users', 'add', 'Bob'], `${PASSWORD.normalize('NFD')}\n`);
  await using bob = await connect({ username: 'bob', password: PASSWORD.normalize('NFC'), auth: address, home });
  const file = join(root, 'file.txt');
  await writeFile(file, 'content');
  await bob.upload(file, '/file.txt');

  await admin('driftless-server', ['users', 'set-quota', 'bob', '5MB']);
  assert.equal((await bob.usage()).quota, 5_000_000);
  await admin('driftless-auth', ['keys', 'rotate']);
  const published = async () => ((await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as { keys: unknown[] }).keys.length;
  await soon('the server knows the new key', async () => (await published()) === 2);

  const tries = [secrets, join(root, 'var/lib/driftless-auth/accounts.db')];
  const script = `const { openSync } = require('node:fs'); for (const [path, how] of ${JSON.stringify([
    [tries[0], 'r'],
    [tries[0], 'a'],
    [tries[1], 'r+'],
  ])}) {
    try { openSync(path, how); process.stdout.write('opened'); } catch (error) { process.stdout.write(error.code + ' '); } }`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'], ...runAs('driftless-server') });
  assert.equal(await text(child.stdout), 'EACCES EACCES EACCES ');

  const datagram = encodeClient('renew', randomBytes(16), {
    cookie: Buffer.alloc(16),
    timeMs: Buffer.alloc(8),
    sessionId: Buffer.alloc(16),
    mac: Buffer.alloc(32),
  });
  const carried = await fetch(`${server.url}/v1/auth`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: datagram,
  });
  assert.equal(carried.status, 200, 'both have the key that they know each other by');

  // The server alone: it may read the accounts, and makes nothing beside them that the daemon could not write.
  await server.stop();
  await auth.stop();
  await start('server');
  await start('auth');
  await soon('the server reads the accounts again', async () => (await fetch(`${server.url}/readyz`)).status === 200);
  await bob.delete('/file.txt');

  await admin('driftless-auth', ['users', 'disable', 'bob']);
  const ticket = await bob.ticket();
  const status = async () => (await fetch(`${server.url}/v1/whoami`, { headers: { authorization: `Bearer ${ticket}` } })).status;
  await soon('the ticket is refused', async () => (await status()) === 401);
  const audit = JSON.parse(await admin('driftless-auth', ['audit', '--user', 'bob', '--json'])) as {
    process: string;
    what: string;
    result: string;
  }[];
  const told = audit.map(({ process: writer, what, result }) => `${writer} ${what} ${result}`);
  for (const expected of ['admin user_added ok', 'auth login ok', 'admin limits_changed ok', 'admin user_disabled ok'])
    assert.ok(told.includes(expected), `${expected}: ${told}`);
});
