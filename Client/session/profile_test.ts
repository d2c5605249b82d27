import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import { openProfile, type StoredLogin } from './profile.ts';

const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(); // in memory: no waiting for a disk

async function newHome(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t, PLACE);
  return join(folder, 'home');
}

const ID = 'a'.repeat(32);
const LOGIN: StoredLogin = {
  auth: '127.0.0.1:4810',
  user: { id: ID, name: 'alice' },
  deviceId: ID,
  sessionId: ID,
  renewalSecret: 'c2VjcmV0',
  ticket: 'a.b.c',
  ticketExpiresAtMs: 1,
  clockOffsetMs: -5,
  serverUrl: 'http://127.0.0.1:4811',
  loggedInAtMs: 1,
};

test('a profile that was never written is empty, and reading it writes nothing', async (t) => {
  const home = await newHome(t);
  const { sessions, daemons } = await openProfile(home).read();
  assert.deepEqual([sessions, daemons], [[], {}]);
  await assert.rejects(stat(home), { code: 'ENOENT' });
});

test('what is written is read back, for its owner only, and the device keeps its id', async (t) => {
  const home = await newHome(t);
  const before = process.umask(0o022);
  t.after(() => process.umask(before));
  const written = await openProfile(home).update((data) => {
    data.sessions.push(LOGIN);
    data.daemons['127.0.0.1:4810'] = { key: 'k', opaqueKey: 'o' };
  });
  assert.deepEqual(await openProfile(home).read(), written);
  assert.match(written.deviceId, /^[0-9a-f]{32}$/);
  assert.equal((await stat(home)).mode & 0o777, 0o700);
  for (const name of ['profile.json', 'profile.lock']) assert.equal((await stat(join(home, name))).mode & 0o777, 0o600, name);
  assert.deepEqual((await readdir(home)).sort(), ['profile.json', 'profile.lock']);
});

test('changes made at once, by several processes too, are all kept', async (t) => {
  const home = await newHome(t);
  const program = `
    import { openProfile } from ${JSON.stringify(new URL('profile.ts', import.meta.url).href)};
    const [home, name] = process.argv.slice(1);
    const profile = openProfile(home);
    const one = (n) => profile.update((data) => { data.daemons[name + n] = { key: 'k', opaqueKey: 'o' }; });
    await Promise.all(Array.from({ length: 5 }, (_, n) => one(n)));`;
  const children = ['a', 'b', 'c'].map((name) =>
    spawn(process.execPath, ['--input-type=module', '-e', program, home, name], { stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'close'))[0]));
  assert.deepEqual(codes, [0, 0, 0]);
  assert.equal(Object.keys((await openProfile(home).read()).daemons).length, 15);
});

test('a process that was killed while it held the lock does not hold up the next', async (t) => {
  const home = await newHome(t);
  const program = `
    import { openProfile } from ${JSON.stringify(new URL('profile.ts', import.meta.url).href)};
    await openProfile(process.argv[1]).update(() => { process.stdout.write('held'); for (;;); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, home], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const next = openProfile(home).update((data) => void data.sessions.push(LOGIN));
  child.kill('SIGKILL');
  assert.equal((await next).sessions.length, 1);
});

test('a change that throws changes nothing', async (t) => {
  const home = await newHome(t);
  const before = await openProfile(home).update((data) => void data.sessions.push(LOGIN));
  const failing = openProfile(home).update((data) => {
    data.sessions = [];
    throw new Error('no');
  });
  await assert.rejects(failing, { code: 'local_io' });
  assert.deepEqual(await openProfile(home).read(), before);
  await openProfile(home).update(() => undefined); // the lock was let go
});

test('a profile that is damaged or of another version is named, never overwritten, and not shown', async (t) => {
  const home = await newHome(t);
  await mkdir(home);
  const path = join(home, 'profile.json');
  const bad = [
    '',
    '{',
    '[]',
    '{"version":2}',
    JSON.stringify({ version: 1, deviceId: ID, daemons: {}, sessions: [{ ...LOGIN, ticket: 5 }] }),
  ];
  for (const text of bad) {
    await writeFile(path, text);
    await assert.rejects(
      openProfile(home).read(),
      (error: Error & { code?: string }) => error.code === 'local_io' && error.message.includes(path),
    );
    await assert.rejects(
      openProfile(home).update(() => undefined),
      { code: 'local_io' },
    );
    assert.equal(await readFile(path, 'utf8'), text);
  }
});

test('a folder that cannot be used is a typed error', async (t) => {
  const home = await newHome(t);
  await writeFile(home, 'a file');
  await assert.rejects(
    openProfile(home).update(() => undefined),
    { code: 'local_io' },
  );
  await assert.rejects(openProfile(home).read(), { code: 'local_io' });
});
