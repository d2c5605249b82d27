import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { readConfig } from './config.ts';
import { SESSION_RULES } from './session_rules.ts';

const MAIN = fileURLToPath(new URL('auth_server.ts', import.meta.url));

function start(t: TestContext, folder: string, more: Record<string, string> = {}) {
  const env = { DRIFTLESS_DATA: join(folder, 'data'), DRIFTLESS_LOGS: join(folder, 'logs'), DRIFTLESS_AUTH_PORT: '0', ...more };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const said = { out: '', err: '' };
  child.stdout.on('data', (bytes: Buffer) => (said.out += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (said.err += bytes.toString()));
  return { child, said, ended: once(child, 'close').then(([code]: unknown[]) => code) };
}

test('it says where it listens in one line, and ends cleanly when told to, twice on the same folder', async (t) => {
  const folder = await temporaryFolder(t);
  const umask = process.umask(0o022);
  t.after(() => process.umask(umask));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { child, said, ended } = start(t, folder);
    await once(child.stdout, 'data');
    assert.match(said.out, /^driftless auth listening on udp:\/\/127\.0\.0\.1:\d+\n$/);
    child.kill(signal);
    assert.equal(await ended, 0);
    assert.equal(said.err, '');
  }
  for (const made of ['data', 'logs']) assert.equal((await stat(join(folder, made))).mode & 0o777, 0o700, made);
  for (const made of ['data/auth.lock', 'data/accounts.db', 'logs/auth.log']) {
    assert.equal((await stat(join(folder, made))).mode & 0o777, 0o600, made);
  }
  const log = await readFile(join(folder, 'logs', 'auth.log'), 'utf8');
  const secrets = JSON.parse(await readFile(join(folder, 'data', 'auth', 'secrets.json'), 'utf8'));
  for (const [name, value] of Object.entries(secrets)) if (typeof value === 'string') assert.ok(!log.includes(value), name);
});

test('a second daemon on the same data folder, or on the same port, ends with the reason', async (t) => {
  const folder = await temporaryFolder(t);
  const first = start(t, folder);
  await once(first.child.stdout, 'data');
  const sameFolder = start(t, folder);
  assert.equal(await sameFolder.ended, 1);
  assert.match(sameFolder.said.err, /^driftless auth: .*\(data_folder_locked\)\n$/);
  const port = /:(\d+)\n/.exec(first.said.out)?.[1] ?? '';
  const samePort = start(t, join(folder, 'other'), { DRIFTLESS_AUTH_PORT: port });
  assert.equal(await samePort.ended, 1);
  assert.match(samePort.said.err, /^driftless auth: .*\(port_in_use\)\n$/);
});

test('a log that cannot be opened ends it with the reason, one that is full does not end it', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'file'), '');
  const closed = start(t, folder, { DRIFTLESS_LOGS: join(folder, 'file') });
  assert.equal(await closed.ended, 1);
  assert.match(closed.said.err, /\(config_invalid\)\n$/);
  await mkdir(join(folder, 'logs'));
  await symlink('/dev/full', join(folder, 'logs', 'auth.log'));
  const { child, said, ended } = start(t, folder);
  await once(child.stdout, 'data');
  child.kill();
  assert.equal(await ended, 0);
  assert.match(said.err, /^driftless auth: the log cannot be written: ENOSPC[^\n]*\n$/);
});

test('the configuration has defaults, and a wrong value is named without being shown', () => {
  const { data, ...rest } = readConfig({});
  assert.ok(data.endsWith('/data'));
  assert.deepEqual(rest.sessionRules, SESSION_RULES);
  assert.equal(readConfig({ DRIFTLESS_IDLE_TIMEOUT: '0' }).sessionRules.idleMs, null);
  assert.deepEqual(
    [rest.host, rest.port, rest.httpPort, rest.database, rest.publicUrl, rest.registration],
    ['127.0.0.1', 4810, 4811, null, null, 'local'],
  );
  const proxied = { DRIFTLESS_HOST: '0.0.0.0', DRIFTLESS_PUBLIC_URL: 'http://files.example.org' };
  assert.throws(() => readConfig(proxied), { code: 'config_invalid', message: /DRIFTLESS_PUBLIC_URL.*https/ });
  assert.equal(readConfig({ ...proxied, DRIFTLESS_PUBLIC_URL: 'https://files.example.org' }).publicUrl, 'https://files.example.org');
  const wrong = {
    DRIFTLESS_AUTH_PORT: '70000',
    DRIFTLESS_HTTP_PORT: '-1',
    DRIFTLESS_DATABASE: 'mysql://hush',
    DRIFTLESS_PUBLIC_URL: 'ftp://hush',
    DRIFTLESS_IDLE_TIMEOUT: 'hush',
    DRIFTLESS_MAX_SESSIONS: '0',
    DRIFTLESS_MAX_SESSIONS_PER_USER: '-1',
    DRIFTLESS_REGISTRATION: 'hush',
  };
  for (const [name, value] of Object.entries(wrong)) {
    assert.throws(
      () => readConfig({ [name]: value }),
      (error: Error & { code?: string }) =>
        error.code === 'config_invalid' && error.message.includes(name) && !error.message.includes('hush'),
    );
  }
});
