import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { assertConverged, type Device, openWorld, type SyncWorld, settle, watching } from './sync_devices.ts';

const run = promisify(execFile);
const COMMITS = 150;
const FILES = 400;
const DATABASE_MS = 1500;
const SAVES = 40;

let world: SyncWorld;

before(async () => {
  world = await openWorld();
});

after(() => world[Symbol.asyncDispose]());

async function skipWithout(t: TestContext, program: string): Promise<boolean> {
  try {
    await run(program, ['--version']);
    return false;
  } catch {
    t.skip(`SKIPPED: ${program} is not installed`);
    return true;
  }
}

/** No writer made a conflict out of its own work. */
async function assertSame(a: Device, b: Device): Promise<void> {
  await settle(a, b);
  for (const { sync } of [a, b]) {
    assert.deepEqual(sync.index.problems(), []);
    assert.deepEqual(sync.status().held, []);
    assert.deepEqual(sync.conflicts(), []);
  }
  await assertConverged([a, b]);
}

const GIT_ENV = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' } as const;

async function git(folder: string, ...command: string[]): Promise<string> {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', '-c', 'gc.auto=0', '-c', 'maintenance.auto=false'];
  const { stdout } = await run('git', [...identity, ...command], { cwd: folder, env: { ...process.env, ...GIT_ENV } });
  return stdout;
}

/** A bare repository with a history: all files are in the first commit, every other one changes some; of two branches the second has some of its own. */
async function makeRepository(folder: string): Promise<void> {
  const random = seededRandom(1);
  const lines: string[] = [];
  const file = (path: string, mark: string): void => {
    const content = `${mark}\n`.repeat(1 + Math.floor(random() * 200));
    lines.push(`M 100644 inline ${path}`, `data ${content.length}`, content);
  };
  for (let i = 1; i <= COMMITS; i += 1) {
    const message = `commit ${i}`;
    const branch = i > COMMITS / 2 && i % 2 === 0 ? 'side' : 'main';
    lines.push(`commit refs/heads/${branch}`, `mark :${i}`, `committer Test <test@example.com> ${1_700_000_000 + i * 60} +0000`);
    lines.push(`data ${message.length}`, message);
    if (branch === 'side' && i <= COMMITS / 2 + 2) lines.push(`from :${i - 1}`);
    if (i === 1) for (let n = 0; n < FILES; n += 1) file(pathOf(n), 'at first');
    else for (let n = 0; n < 6; n += 1) file(pathOf(Math.floor(random() * FILES)), `${branch} ${i} ${n}`);
    if (branch === 'side' && i % 8 === 0) file(`side/only-${i}`, branch);
    lines.push('');
  }
  mkdirSync(folder);
  await git(folder, 'init', '--quiet', '--bare', '--initial-branch=main');
  const importing = run('git', ['fast-import', '--quiet'], { cwd: folder });
  importing.child.stdin?.end(lines.join('\n'));
  await importing;
}

const pathOf = (n: number): string => `src/part-${n % 12}/file-${n}.txt`;

test('a repository that is cloned, and checked out back and forth', async (t) => {
  if (await skipWithout(t, 'git')) return;
  const source = join(world.folder, 'source.git');
  await makeRepository(source);
  const [a, b] = await watching(world, t);
  await git(a.local, 'clone', '--quiet', '--no-local', source, 'clone');
  const clone = a.path('clone');
  await git(clone, 'checkout', '--quiet', '-b', 'side', 'origin/side');
  for (const target of ['main', 'side', 'main~20', 'side', 'main']) await git(clone, 'checkout', '--quiet', target);
  writeFileSync(join(clone, 'new file'), 'new');
  await git(clone, 'add', '.');
  await git(clone, 'commit', '--quiet', '-m', 'a commit of its own');
  await git(clone, 'repack', '-a', '-d', '--quiet');
  await assertSame(a, b);
  for (const device of [a, b]) {
    await git(device.path('clone'), 'fsck', '--strict');
    assert.equal(await git(device.path('clone'), 'status', '--porcelain'), '');
  }
  await assertSame(a, b);
});

test('a tree of packages is installed, and another one in its place', async (t) => {
  const packages = join(import.meta.dirname, '..', 'node_modules');
  const names = ['zod', 'fastify', 'pino'].filter((name) => existsSync(join(packages, name)));
  const [a, b] = await watching(world, t);
  const target = a.path('project/node_modules');
  for (const name of names) cpSync(join(packages, name), join(target, `.${name}-1`, name), { recursive: true, dereference: true });
  // as npm does it: unpacked beside, then moved into place
  for (const name of names) renameSync(join(target, `.${name}-1`, name), join(target, name));
  for (const name of names) rmSync(join(target, `.${name}-1`), { recursive: true });
  rmSync(join(target, names[0] ?? ''), { recursive: true });
  cpSync(join(packages, names[0] ?? ''), join(target, names[0] ?? ''), { recursive: true, dereference: true });
  await assertSame(a, b);
  const count = readdirSync(b.path('project/node_modules'), { recursive: true }).length;
  t.diagnostic(`${count} entries`);
  assert.ok(count > 1000);
});

/** From the cache where it can: what the project itself is made of is in there. */
async function npm(folder: string, ...command: string[]): Promise<void> {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|config_local_prefix|config_prefix)/.test(name));
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  await run('npm', [...command, ...quiet], { cwd: folder, env: Object.fromEntries(own) });
}

type Lock = { readonly packages: Record<string, { readonly version?: string; readonly dependencies?: Record<string, string> }> };

/** What `names` and all that they need are in the project's own lock file, so that no registry is asked which versions there are. */
function lockOf(names: readonly string[]): { manifest: object; lock: object } {
  const { packages, ...kind }: Lock = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package-lock.json'), 'utf8'));
  const needed: Lock['packages'] = {};
  const add = (from: string, name: string): void => {
    const path = `${from === '' ? '' : `${from}/`}node_modules/${name}`;
    const found = packages[path];
    if (found === undefined) {
      if (from !== '') add(from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), name); // further up
    } else if (needed[path] === undefined) {
      needed[path] = found;
      for (const each of Object.keys(found.dependencies ?? {})) add(path, each);
    }
  };
  for (const name of names) add('', name);
  const dependencies = Object.fromEntries(names.map((name) => [name, packages[`node_modules/${name}`]?.version]));
  const manifest = { name: 'project', version: '1.0.0', private: true, dependencies };
  return { manifest, lock: { ...kind, name: 'project', version: '1.0.0', packages: { '': manifest, ...needed } } };
}

test('npm installs packages, takes one out, and installs all of them anew', async (t) => {
  if (await skipWithout(t, 'npm')) return;
  const { manifest, lock } = lockOf(['fastify', 'lowdb', 'ignore']);
  const [a, b] = await watching(world, t);
  const project = a.path('project');
  a.write('project/package.json', JSON.stringify(manifest));
  a.write('project/package-lock.json', JSON.stringify(lock));
  await npm(project, 'install');
  await npm(project, 'uninstall', 'lowdb');
  await assertSame(a, b);
  await npm(b.path('project'), 'ls', '--all');
  await npm(project, 'ci'); // removes all of them first
  await assertSame(a, b);
  await npm(b.path('project'), 'ls', '--all');
  const names = readdirSync(b.path('project/node_modules'));
  assert.ok(names.includes('fastify') && !names.includes('lowdb'), names.join(', '));
  const count = readdirSync(b.path('project/node_modules'), { recursive: true }).length;
  t.diagnostic(`${names.length} packages, ${count} entries`);
  assert.ok(count > 500);
});

test('a database that is written to is whole on the other device once it is left alone', async (t) => {
  const [a, b] = await watching(world, t);
  const database = new DatabaseSync(a.path('data.db'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 50; CREATE TABLE rows (id INTEGER PRIMARY KEY, content BLOB)');
  const insert = database.prepare('INSERT INTO rows (content) VALUES (?)');
  const until = performance.now() + DATABASE_MS;
  let rows = 0;
  while (performance.now() < until) {
    for (let n = 0; n < 10; n += 1) insert.run(randomBytes(2000));
    rows += 10;
    await sleep(5);
  }
  database.close();
  await assertSame(a, b);
  for (const device of [a, b]) {
    const opened = new DatabaseSync(device.path('data.db'));
    assert.equal(opened.prepare('PRAGMA integrity_check').get()?.integrity_check, 'ok');
    assert.equal(opened.prepare('SELECT count(*) AS rows FROM rows').get()?.rows, rows);
    opened.close();
  }
  await assertSame(a, b);
});

type Save = (path: string, content: string) => Promise<void>;
const EDITORS: Readonly<Record<string, Save>> = {
  async 'by rename'(path, content) {
    writeFileSync(`${path}.tmp`, content);
    renameSync(`${path}.tmp`, path);
  },
  async 'by rename, with a backup'(path, content) {
    writeFileSync(`${path}.new`, content);
    if (existsSync(path)) renameSync(path, `${path}~`);
    renameSync(`${path}.new`, path);
  },
  async 'by truncating'(path, content) {
    if (existsSync(path)) truncateSync(path);
    await sleep(1);
    writeFileSync(path, content);
  },
  async 'a piece at a time'(path, content) {
    writeFileSync(path, content.slice(0, 10));
    await sleep(1);
    appendFileSync(path, content.slice(10));
  },
  async 'by deleting first'(path, content) {
    rmSync(path, { force: true });
    await sleep(1);
    writeFileSync(path, content);
  },
};

test('editors that save in all their ways, again and again: the last save is what both have, and none is a conflict', async (t) => {
  const [a, b] = await watching(world, t);
  const saved = new Map<string, string>();
  await Promise.all(
    Object.entries(EDITORS).map(async ([name, save], at) => {
      const path = `texts/${name}.txt`;
      mkdirSync(dirname(a.path(path)), { recursive: true });
      for (let i = 0; i < SAVES; i += 1) {
        const content = `${name} ${i}\n`.repeat(1 + ((i * 7) % 50));
        await save(a.path(path), content);
        saved.set(path, content);
        await sleep(((i * 13 + at * 5) % 9) * 5);
      }
    }),
  );
  await assertSame(a, b);
  for (const [path, content] of saved) assert.equal(b.read(path), content, path);
});

test('both devices save files of their own in one folder at once', async (t) => {
  const [a, b] = await watching(world, t);
  await Promise.all(
    [a, b].map(async (device, at) => {
      for (let i = 0; i < SAVES; i += 1) {
        device.write(`together/${at}-${i % 20}`, `${at} ${i}`);
        if (i % 10 === 9) device.move(`together/${at}-${i % 20}`, `together/moved-${at}-${i}`);
        await sleep(4);
      }
    }),
  );
  await assertSame(a, b);
  assert.equal(readdirSync(a.path('together')).length, 2 * (18 + SAVES / 10));
});

test('an archive is unpacked, and rsync puts a tree in, again over what is there', async (t) => {
  if ((await skipWithout(t, 'tar')) || (await skipWithout(t, 'rsync'))) return;
  const source = join(world.folder, 'tree');
  for (let i = 0; i < 400; i += 1) {
    const path = join(source, `folder ${i % 20}`, `${i}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, randomBytes(100 + i * 10));
  }
  writeFileSync(join(source, 'large'), randomBytes(2_000_000));
  const archive = join(world.folder, 'tree.tar');
  await run('tar', ['-cf', archive, '-C', source, '.']);
  const [a, b] = await watching(world, t);
  mkdirSync(a.path('unpacked'));
  await run('tar', ['-xf', archive, '-C', a.path('unpacked')]);
  await run('rsync', ['-a', `${source}/`, a.path('copied')]);
  for (let i = 0; i < 400; i += 7) writeFileSync(join(source, `folder ${i % 20}`, `${i}`), randomBytes(50 + i * 10));
  rmSync(join(source, 'folder 3'), { recursive: true });
  await run('rsync', ['-a', '--delete', `${source}/`, a.path('copied')]);
  await run('rsync', ['-a', '--inplace', `${source}/`, a.path('unpacked')]);
  await assertSame(a, b);
});
