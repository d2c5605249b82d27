import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, register } from '../Client/client.ts';
import { privateEnvironment, startSystem } from '../processes.ts';
import { runClient } from './sync_client_process.ts';
import { assertSameFolders } from './sync_equality.ts';

const DAYS_3_MS = 3 * 86_400_000;
const PATIENCE_MS = 60_000;
const ACCOUNT = { username: 'alice', password: 'correct horse battery staple' } as const;

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(performance.now() < end, `${what}: not within ${PATIENCE_MS} ms`);
    await sleep(20);
  }
}

/** @returns `null` where nothing is: also for the moment in which another process puts a file in the place of one */
function contentAt(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return null;
  }
}

/** When the tickets of a profile expire, ms. */
function expiry(home: string): number {
  const profile: { sessions: { ticketExpiresAtMs: number }[] } = JSON.parse(readFileSync(join(home, 'profile.json'), 'utf8'));
  return Math.max(...profile.sessions.map(({ ticketExpiresAtMs }) => ticketExpiresAtMs));
}

test('two devices that slept for three days go on by themselves, with tickets that have long expired', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-pause-')), (path) => rm(path, { recursive: true, force: true }));
  const clock = join(folder, 'clock');
  writeFileSync(clock, String(-DAYS_3_MS)); // so that files never have a time that is to come
  const preload = new URL('shifted_clock.ts', import.meta.url).href;
  const given = { ...process.env, NODE_OPTIONS: `--import ${preload}`, DRIFTLESS_TEST_CLOCK: clock };
  const env = await privateEnvironment(folder, given);
  stack.use(await startSystem({ env, folder }));
  const gaveUp: string[] = [];
  const start = async (name: string) => {
    const [home, local] = [join(folder, name, 'home'), join(folder, name, 'local')];
    mkdirSync(local, { recursive: true });
    const login = name === 'a' ? register : connect;
    await using me = await login({ ...ACCOUNT, home, auth: `127.0.0.1:${env.DRIFTLESS_AUTH_PORT}` });
    assert.equal(me.username, ACCOUNT.username);
    const client = await runClient({ home, local, remote: '/work', watch: true, env, onGaveUp: (why) => gaveUp.push(why) });
    stack.use(client);
    return { home, local, client, path: (file: string) => join(local, file) };
  };
  const a = await start('a');
  const b = await start('b');
  writeFileSync(a.path('before'), 'before');
  await until('a file of before the pause', () => existsSync(b.path('before')));

  for (const { client } of [a, b]) process.kill(client.pid, 'SIGSTOP');
  for (const { home } of [a, b]) assert.ok(expiry(home) < Date.now() - DAYS_3_MS / 2, 'the tickets are still good');
  writeFileSync(clock, '0');
  writeFileSync(a.path('while a slept'), 'a');
  writeFileSync(b.path('while b slept'), 'b');
  writeFileSync(a.path('before'), 'changed while a slept');
  for (const { client } of [a, b]) process.kill(client.pid, 'SIGCONT');

  await until('what was written meanwhile', () => existsSync(b.path('while a slept')) && existsSync(a.path('while b slept')));
  await until('what was changed meanwhile', () => contentAt(b.path('before')) === 'changed while a slept');
  writeFileSync(b.path('afterwards'), 'afterwards');
  await until('what was written afterwards', () => existsSync(a.path('afterwards')));
  assert.deepEqual(gaveUp, []);
  for (const { home } of [a, b]) assert.ok(expiry(home) > Date.now(), 'the tickets were not renewed');
  for (const { client } of [a, b]) assert.deepEqual((await client.status()).left, []);
  await assertSameFolders(a.local, b.local);
});
