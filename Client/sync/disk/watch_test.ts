import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Watcher } from './disk.ts';
import { watchFolder } from './watch.ts';

const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(); // in memory: no waiting for a disk
const WAIT_MS = 30_000;

function setUp(t: TestContext, fill: (root: string) => void = () => undefined) {
  const folder = mkdtempSync(join(PLACE, 'driftless-watch-'));
  const root = join(folder, 'root');
  mkdirSync(root);
  fill(root);
  const hints = new Set<string | null>();
  let told = (): void => undefined;
  const watcher = watchFolder(root, (path) => {
    hints.add(path);
    told();
  });
  t.after(() => {
    watcher.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Until all of these were told of, or anything might have changed. */
  async function toldOf(...paths: (string | null)[]): Promise<void> {
    const missing = () => paths.filter((path) => !hints.has(path) && !(path !== null && hints.has(null)));
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`never told of ${missing().slice(0, 5)} and so on: ${missing().length}`)), WAIT_MS);
      told = () => {
        if (missing().length > 0) return;
        clearTimeout(timer);
        resolve();
      };
      told();
    });
    hints.clear();
  }
  return { folder, root, hints, toldOf, watcher };
}

/** Each folder has its watcher, so what is done from now on is told. */
async function allWatched(watcher: Watcher, count: number): Promise<void> {
  for (const endMs = Date.now() + WAIT_MS; watcher.coverage.watched !== count; await new Promise((resolve) => setImmediate(resolve))) {
    assert.ok(Date.now() < endMs, `${JSON.stringify(watcher.coverage)} instead of ${count}`);
  }
}

test('files that are made, edited, renamed over and removed are told of', async (t) => {
  const { root, toldOf } = setUp(t);
  writeFileSync(join(root, 'f'), '1');
  await toldOf('f');
  appendFileSync(join(root, 'f'), '2');
  await toldOf('f');
  writeFileSync(join(root, 'g'), '3');
  renameSync(join(root, 'g'), join(root, 'f'));
  await toldOf('f', 'g');
  rmSync(join(root, 'f'));
  await toldOf('f');
});

test('folders in folders made at once, with files in them, are told of, and watched from then on', async (t) => {
  const { root, toldOf } = setUp(t);
  const deep = join(root, 'a/b/c/d/e');
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, 'f'), '1');
  await toldOf('a', 'a/b', 'a/b/c/d/e', 'a/b/c/d/e/f');
  appendFileSync(join(deep, 'f'), '2');
  await toldOf('a/b/c/d/e/f');
});

test('a copy of 2500 files in 50 folders is told of, each of them', async (t) => {
  const { folder, root, toldOf, watcher } = setUp(t);
  const paths: string[] = [];
  for (let outer = 0; outer < 50; outer += 1) {
    mkdirSync(join(folder, 'from', `d${outer}`), { recursive: true });
    for (let inner = 0; inner < 50; inner += 1) {
      writeFileSync(join(folder, 'from', `d${outer}`, `f${inner}`), 'x');
      paths.push(`copy/d${outer}/f${inner}`);
    }
  }
  execFileSync('cp', ['-r', join(folder, 'from'), join(root, 'copy')]);
  await toldOf(...paths);
  await allWatched(watcher, 52);
  const edited = paths.filter((_, index) => index % 50 === 7);
  for (const path of edited) appendFileSync(join(root, path), 'y');
  await toldOf(...edited);
});

test('a folder that is moved in, renamed, and another put in its place stay watched', async (t) => {
  const { folder, root, toldOf } = setUp(t);
  mkdirSync(join(folder, 'in/below'), { recursive: true });
  writeFileSync(join(folder, 'in/below/f'), '1');
  renameSync(join(folder, 'in'), join(root, 'in'));
  await toldOf('in', 'in/below', 'in/below/f');
  appendFileSync(join(root, 'in/below/f'), '2');
  await toldOf('in/below/f');
  renameSync(join(root, 'in'), join(root, 'renamed'));
  await toldOf('in', 'renamed', 'renamed/below/f');
  appendFileSync(join(root, 'renamed/below/f'), '3');
  await toldOf('renamed/below/f');
  renameSync(join(root, 'renamed'), join(folder, 'out'));
  mkdirSync(join(root, 'renamed/below'), { recursive: true });
  await toldOf('renamed', 'renamed/below');
  writeFileSync(join(root, 'renamed/below/f'), '4');
  await toldOf('renamed/below/f');
});

test('nothing is told of the private folder, of what a symlink leads to, or after the end', async (t) => {
  const { folder, root, hints, toldOf, watcher } = setUp(t, (at) => mkdirSync(join(at, '.driftless/tmp'), { recursive: true }));
  mkdirSync(join(folder, 'outside'));
  symlinkSync('../outside', join(root, 'link'));
  await toldOf('link');
  writeFileSync(join(root, '.driftless/tmp/1'), 'x');
  mkdirSync(join(root, '.driftless/trash'));
  writeFileSync(join(folder, 'outside/f'), 'x');
  writeFileSync(join(root, 'last'), 'x');
  await toldOf('last');
  assert.deepEqual([...hints], []);
  assert.deepEqual(watcher.coverage, { watched: 1, of: 1 });
  watcher.close();
  writeFileSync(join(root, 'later'), 'x');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([...hints], []);
});

test('a root that is removed, moved or was never there is a hint that anything may have changed', async (t) => {
  const removed = setUp(t);
  rmSync(removed.root, { recursive: true });
  await removed.toldOf(null);
  const moved = setUp(t);
  renameSync(moved.root, join(moved.folder, 'elsewhere'));
  mkdirSync(moved.root);
  await moved.toldOf(null);
  assert.deepEqual(moved.watcher.coverage, { watched: 0, of: 1 });
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const missing = watchFolder(join(moved.folder, 'missing'), resolve);
  t.after(() => missing.close());
  assert.equal(await promise, null);
});

const onLinux = { skip: process.platform === 'linux' ? false : 'only Linux counts watches and drops events' };

test('more events at once than the system keeps are a hint that anything may have changed', onLinux, async (t) => {
  const { root, toldOf } = setUp(t);
  const kept = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));
  for (let count = 0; count < kept / 2 + 100; count += 1) {
    writeFileSync(join(root, 'even'), '');
    writeFileSync(join(root, 'odd'), '');
  }
  mkdirSync(join(root, 'dropped'));
  await toldOf(null);
  writeFileSync(join(root, 'dropped/f'), '');
  await toldOf('dropped/f');
});

test('folders beyond the limit of the system are missing in the coverage, and nothing is thrown', onLinux, (t) => {
  const folder = mkdtempSync(join(PLACE, 'driftless-watch-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (let count = 0; count < 20; count += 1) mkdirSync(join(folder, `d${count}`));
  const program = `
    import { mkdirSync } from 'node:fs';
    import { watchFolder } from ${JSON.stringify(new URL('./watch.ts', import.meta.url).href)};
    const hints = [];
    const watcher = watchFolder(${JSON.stringify(folder)}, (path) => {
      hints.push(path);
      if (!hints.includes('late/below') || !hints.includes(null)) return;
      console.log(JSON.stringify({ hints, coverage: watcher.coverage }));
      watcher.close();
    });
    mkdirSync(${JSON.stringify(join(folder, 'late', 'below'))}, { recursive: true });
  `;
  const limit = 'echo 10 > /proc/sys/user/max_inotify_watches && exec "$0" --input-type=module -e "$1"';
  const { status, stdout, stderr } = spawnSync('unshare', ['--user', '--map-root-user', 'sh', '-c', limit, process.execPath, program], {
    encoding: 'utf8',
    timeout: WAIT_MS,
  });
  if (status !== 0 && /unshare|max_inotify_watches|not permitted/i.test(stderr))
    return t.skip(`no limit can be set here: ${stderr.split('\n')[0]}`);
  assert.equal(status, 0, stderr);
  const { hints, coverage } = JSON.parse(stdout) as { hints: (string | null)[]; coverage: Watcher['coverage'] };
  assert.ok(hints.includes('late'));
  assert.equal(coverage.of, 23);
  assert.ok(coverage.watched > 0 && coverage.watched <= 10, JSON.stringify(coverage));
});

test('watchers that are not needed any more are given back', onLinux, async (t) => {
  const { root, toldOf, watcher } = setUp(t);
  const before = watches();
  for (let round = 0; round < 20; round += 1) {
    mkdirSync(join(root, 'a/b'), { recursive: true });
    await toldOf('a/b');
    rmSync(join(root, 'a'), { recursive: true });
    await toldOf('a');
  }
  await allWatched(watcher, 1);
  assert.equal(watcher.coverage.of, 1);
  assert.equal(watches(), before);
});

test('ended by who is told of something, it watches nothing any more', onLinux, async (t) => {
  for (const last of ['a', 'a/b', 'a/b/c']) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const folder = mkdtempSync(join(PLACE, 'driftless-watch-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const before = watches();
    const watcher = watchFolder(folder, (path) => {
      if (path !== last) return;
      watcher.close();
      resolve();
    });
    mkdirSync(join(folder, 'a/b/c'), { recursive: true });
    await promise;
    for (let turn = 0; turn < 5; turn += 1) await new Promise((next) => setImmediate(next));
    assert.equal(watches(), before, last);
  }
});

function watches(): number {
  const count = (fd: string): number => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('inotify')).length;
    } catch {
      return 0; // closed by now
    }
  };
  return readdirSync('/proc/self/fdinfo').reduce((sum, fd) => sum + count(fd), 0);
}
