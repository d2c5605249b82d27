import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../../Models/testing/temporary_folder.ts';
import { openRoots } from './roots.ts';

async function newPlace(t: TestContext) {
  const folder = await realpath(await temporaryFolder(t));
  const home = join(folder, 'home');
  const roots = openRoots(home);
  const add = (local: string, remote = '/work') => roots.add({ local: join(folder, local), remote, auth: '127.0.0.1:4810', user: 'alice' });
  return { folder, home, roots, add };
}

test('where nothing was ever synced there are no roots, and asking writes nothing', async (t) => {
  const { home, roots, folder } = await newPlace(t);
  assert.deepEqual(await roots.list(), { roots: [], damaged: [] });
  assert.equal(await roots.find(folder), null);
  await assert.rejects(stat(home), { code: 'ENOENT' });
});

test('a root is kept with its settings, for its owner only, and its folder is made', async (t) => {
  const { folder, home, roots, add } = await newPlace(t);
  const before = process.umask(0o022);
  t.after(() => process.umask(before));
  const made = await add('Work', '/work/');
  const { roots: all } = await roots.list();
  assert.deepEqual(
    all.map(({ settings }) => settings),
    [made.settings],
  );
  const { id, ...rest } = made.settings;
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.deepEqual(rest, {
    ...{ version: 1, local: join(folder, 'Work'), remote: '/work', auth: '127.0.0.1:4810', user: 'alice' },
    ...{ excludes: [], limitUp: null, limitDown: null, paused: false },
  });
  assert((await stat(join(folder, 'Work'))).isDirectory());
  assert.equal((await stat(made.folder)).mode & 0o777, 0o700);
  assert.equal((await stat(join(home, 'sync'))).mode & 0o777, 0o700);
  assert.equal((await stat(join(made.folder, 'settings.json'))).mode & 0o777, 0o600);
});

test('settings change one after the other, whoever changes them', async (t) => {
  const { roots, add } = await newPlace(t);
  const one = await add('Work');
  const [other] = (await roots.list()).roots;
  assert(other !== undefined);
  await Promise.all(
    Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? one : other).update((settings) => void settings.excludes.push(String(n)))),
  );
  await one.update((settings) => {
    settings.paused = true;
  });
  const now = (await roots.list()).roots[0]?.settings;
  assert.deepEqual([now?.excludes.length, now?.paused], [10, true]);
});

test('a root is found by its path, by a path in it, and through symlinks on the way but not at the end', async (t) => {
  const { folder, roots, add } = await newPlace(t);
  await mkdir(join(folder, 'real', 'Work', 'sub'), { recursive: true });
  await symlink(join(folder, 'real'), join(folder, 'link'));
  await symlink('/', join(folder, 'real', 'Work', 'out'));
  await add('link/Work');
  const find = async (path: string) => (await roots.find(join(folder, path)))?.path ?? null;
  assert.equal(await find('real/Work'), '');
  assert.equal(await find('link/Work'), '');
  assert.equal(await find('link/Work/sub/not there/x'), 'sub/not there/x');
  assert.equal(await find('link/Work/out'), 'out');
  assert.equal(await find('real/Work/../Work/..a'), '..a');
  for (const outside of ['real', 'real/Work2', 'Work', '.']) assert.equal(await find(outside), null, outside);
  await rename(join(folder, 'real'), join(folder, 'away')); // a disk that is not mounted
  assert.equal(await find('real/Work/a'), 'a');
});

test('roots do not overlap, and do not hold the profile', async (t) => {
  const { folder, home, roots, add } = await newPlace(t);
  await add('a/Work');
  const refused = async (local: string, why: RegExp, remote = '/x') => {
    await assert.rejects(add(local, remote), { code: 'request_invalid', message: why });
  };
  await refused('a/Work', /is synced with \/work already/);
  await refused('a/Work/sub', /is inside of .*a\/Work, which is synced already/);
  await refused('a', /holds .*a\/Work, which is synced already/);
  await symlink(join(folder, 'a', 'Work'), join(folder, 'w'));
  await refused('w', /is synced with \/work already/);
  await add('a/Work2');
  await refused('.', /holds/);
  await refused('home/x', /inside of your profile/);
  await assert.rejects(add('b', 'x'), { code: 'path_invalid' });
  await assert.rejects(add('b', '/x/../y'), { code: 'name_invalid' });
  for (const root of (await roots.list()).roots) await roots.remove(root);
  await refused('.', /holds .*home, your profile with its secrets/);
  const other = openRoots(join(folder, '.driftless'));
  assert.equal((await other.add({ local: folder, remote: '/', auth: '127.0.0.1:4810', user: 'alice' })).settings.remote, '/');
  await rm(home, { recursive: true });
});

test('one root is claimed by one process, until that one ends, however it ends', async (t) => {
  const { home, add } = await newPlace(t);
  const root = await add('Work');
  const program = `
    import { openRoots } from ${JSON.stringify(new URL('roots.ts', import.meta.url).href)};
    const { roots: [root] } = await openRoots(process.argv[1]).list();
    globalThis.held = await root.claim();
    console.log('claimed');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, home], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await assert.rejects(root.claim(), { code: 'data_folder_locked', message: /another process syncs .*Work/ });
  await root.update((settings) => {
    settings.paused = true; // settings can still be changed
  });
  child.kill('SIGKILL');
  await once(child, 'close');
  const held = await root.claim();
  await assert.rejects(root.claim(), { code: 'data_folder_locked' });
  held[Symbol.dispose]();
  (await root.claim())[Symbol.dispose]();
});

test('what is forgotten leaves the synced folder alone, and cannot be forgotten while it is synced', async (t) => {
  const { folder, home, roots, add } = await newPlace(t);
  const root = await add('Work');
  await writeFile(join(folder, 'Work', 'a'), 'a');
  const held = await root.claim();
  await assert.rejects(roots.remove(root), { code: 'data_folder_locked' });
  held[Symbol.dispose]();
  await roots.remove(root);
  assert.deepEqual(await roots.list(), { roots: [], damaged: [] });
  assert.deepEqual(await readdir(join(folder, 'Work')), ['a']);
  assert.deepEqual(await readdir(join(home, 'sync')), ['roots.lock']);
});

test('damaged settings are said, and hold up no other root', async (t) => {
  const { home, roots, add } = await newPlace(t);
  const root = await add('a');
  await add('b');
  const good = JSON.stringify(root.settings);
  for (const text of ['', '{', '[]', good.replace('"local":"/', '"local":"'), good.replace('null', '-1'), good.replace('false', '0')]) {
    await writeFile(join(root.folder, 'settings.json'), text);
    const { roots: all, damaged } = await roots.list();
    assert.deepEqual([all.length, damaged.length], [1, 1], text);
    assert.match(damaged[0]?.message ?? '', /settings\.json is damaged/);
  }
  await mkdir(join(home, 'sync', '0123456789abcdef')); // a process was killed before it wrote anything
  await writeFile(join(root.folder, 'settings.json'), good);
  assert.equal((await roots.list()).roots.length, 2);
});
