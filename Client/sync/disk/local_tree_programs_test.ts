import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { AppError } from '../../../Models/errors.ts';
import type { Disk } from './disk.ts';
import { asidePath, type LocalTree, openLocalTree } from './local_tree.ts';
import { codeOf } from './local_tree_states.ts';
import { openNodeDisk } from './node_disk.ts';

/** Real files, and another program that works on them at full speed: it runs in a thread, out of this same file. */
const CHANGES = 10_000;
const BATCH = 500;
const TIME_MS = 3000; // on a busy machine it is fewer
const MEETING_MS = 60_000; // until then the two must have met, however seldom both run
const MET = { rounds: 100, foreign: 10, done: 100, changed: 10 } as const;
const FILES = 5;
const MEMORY = '/dev/shm'; // files in memory: more happens in a second

/** `shared`: 1 to stop, how many rounds there were, and what was found in them that was not its own. */
type Order = { readonly kind: 'saver' | 'swapper'; readonly root: string; readonly shared: SharedArrayBuffer };
type Program = { readonly rounds: number; readonly foreign: number; end(): Promise<unknown> };
type Seen = { done: number; changed: number };
type SaverReport = { readonly saves: number; readonly foreign: number; readonly lost: readonly string[] };

if (isMainThread) {
  test('a program that saves all the time loses nothing to ten thousand places and removes', async (t) => {
    const root = temporaryFolder(t);
    const disk = openNodeDisk(root);
    t.after(() => disk.close());
    const saver = startProgram('saver', root);
    const seen = await replaceAndRemove(disk, openTree(disk), saver);
    const report = (await saver.end()) as SaverReport;
    assert.deepEqual(report.lost, []);
    t.diagnostic(
      `${report.saves} saves, ${report.foreign} of them over what was placed; ${seen.done} changes done, ${seen.changed} given up`,
    );
    assert.ok(haveMet(saver, seen) && saver.foreign > MET.foreign, 'they did not meet');
  });

  test('nothing outside changes while a folder is swapped for a symlink all the time', {
    skip: process.platform !== 'linux',
  }, async (t) => {
    const folder = temporaryFolder(t);
    const [root, outside] = [join(folder, 'root'), join(folder, 'outside')];
    for (const path of [root, outside, join(root, 'dir')]) mkdirSync(path);
    for (let index = 0; index < FILES; index += 1) {
      writeFileSync(join(outside, `f${index}`), 'outside');
      writeFileSync(join(root, 'dir', `f${index}`), 'inside');
      mkdirSync(join(outside, `d${index}`));
    }
    const before = snapshot(outside);
    const disk = openNodeDisk(root);
    t.after(() => disk.close());
    const swapper = startProgram('swapper', root);
    const seen = await changeBelowFolder(disk, openTree(disk), swapper);
    const report = (await swapper.end()) as { swaps: number };
    assert.deepEqual(snapshot(outside), before);
    t.diagnostic(`${report.swaps} swaps; ${seen.done} changes done, ${seen.changed} given up`);
    assert.ok(haveMet(swapper, seen), 'they did not meet');
  });
} else if (parentPort !== null) {
  const order = workerData as Order;
  parentPort.postMessage(order.kind === 'saver' ? saveUntilStopped(order) : swapUntilStopped(order));
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'driftless-programs-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function openTree(disk: Disk): LocalTree {
  const copyName = (name: string, digits: string): string => `${name} (conflict ${digits})`;
  return openLocalTree(disk, { now: Date.now, timeStepMs: 0, copyName, onKept: () => undefined });
}

function startProgram(kind: Order['kind'], root: string): Program {
  const shared = new SharedArrayBuffer(12);
  const counts = new Int32Array(shared);
  const worker = new Worker(new URL(import.meta.url), { workerData: { kind, root, shared } satisfies Order });
  const report = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return {
    get rounds() {
      return Atomics.load(counts, 1);
    },
    get foreign() {
      return Atomics.load(counts, 2);
    },
    end() {
      Atomics.store(counts, 0, 1);
      return report;
    },
  };
}

function haveMet({ rounds }: Program, seen: Seen): boolean {
  return rounds > MET.rounds && seen.done > MET.done && seen.changed > MET.changed;
}

/** For so many changes and so long, and at least until the two have met: both run at once as often as the machine has room for both. */
function whileNeeded(program: Program, seen: Seen, foreign: number): (first: number) => boolean {
  const beganMs = performance.now();
  return (first) => {
    const ms = performance.now() - beganMs;
    if (haveMet(program, seen) && program.foreign >= foreign) return first < CHANGES && ms < TIME_MS;
    return ms < MEETING_MS;
  };
}

async function replaceAndRemove(disk: Disk, tree: LocalTree, saver: Program): Promise<Seen> {
  const seen = { done: 0, changed: 0 };
  const isNeeded = whileNeeded(saver, seen, MET.foreign + 1);
  for (let first = 0; isNeeded(first); first += BATCH) {
    await stageBatch(tree, first);
    for (let id = first; id < first + BATCH; id += 1) {
      const path = `f${id % FILES}`;
      const expected = disk.stat(path);
      const aside = asidePath(id, path, 0);
      const remove = id % 3 === 0 && expected !== null;
      const { status } = remove
        ? tree.remove({ kind: 'remove', id, path, expected, aside })
        : tree.place({ kind: 'place', id, path, expected, aside });
      if (remove) tree.discard(id);
      seen[status] += 1;
    }
    await tree.settle();
  }
  return seen;
}

async function stageBatch(tree: LocalTree, first: number): Promise<void> {
  for (let id = first; id < first + BATCH; id += 1) {
    const file = tree.stage(id);
    file.write(Buffer.from(`placed ${id}`.padEnd(20)), 0);
    tree.finish(id, file, { mode: 0o644, mtimeUs: 1_600_000_000_000_000 + id });
  }
  await tree.seal();
}

async function changeBelowFolder(disk: Disk, tree: LocalTree, swapper: Program): Promise<Seen> {
  const seen = { done: 0, changed: 0 };
  const isNeeded = whileNeeded(swapper, seen, 0);
  const steps: ((path: string, id: number) => void)[] = [
    (path, id) => {
      seen[tree.place({ kind: 'place', id, path, expected: disk.stat(path), aside: asidePath(id, path, 0) }).status] += 1;
    },
    (path, id) => {
      const expected = disk.stat(path);
      if (expected !== null) seen[tree.remove({ kind: 'remove', id, path, expected, aside: asidePath(id, path, 0) }).status] += 1;
    },
    (path) => {
      const expected = disk.stat(path);
      if (expected !== null) seen[tree.setAttributes(path, expected, { mode: 0o600, mtimeUs: 1 }).status] += 1;
    },
    (path, id) => disk.rename(path, `moved${id}`),
    (path, id) => disk.link(path, `linked${id}`),
    (path) => disk.unlink(path),
    (path) => disk.setMode(path, 0o777),
    (path) => disk.setTimes(path, 1),
    (path) => disk.symlink('x', path),
    (path) => disk.rmdir(path.replace('/f', '/d')),
    (path) => disk.mkdir(path.replace('/f', '/new'), 0o755),
  ];
  for (let first = 0; isNeeded(first); first += BATCH) {
    await stageBatch(tree, first);
    for (let id = first; id < first + BATCH; id += 1) {
      const step = steps[(id * 7) % steps.length];
      try {
        step?.(`dir/f${id % FILES}`, id);
      } catch (error) {
        if (!(error instanceof AppError) && !['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST', 'ENOTEMPTY', 'EISDIR'].includes(codeOf(error)))
          throw error;
      }
    }
    await tree.settle();
    tree.clearStaged();
  }
  return seen;
}

function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const { ino, mode, mtimeMs, ctimeMs, nlink, size } = lstatSync(path);
    return [path, ino, mode, mtimeMs, ctimeMs, nlink, size, entry.isFile() ? readFileSync(path, 'utf8') : ''].join(' ');
  });
}

/**
 * Saves by turns into the file that is there and by renaming a new one over it. What it saved last stays open: as long as the path does
 * not lead to it, it must have a name somewhere, with that content.
 */
function saveUntilStopped({ root, shared }: Order): SaverReport {
  const last = new Map<string, { fd: number; content: string }>();
  const lost: string[] = [];
  const counts = new Int32Array(shared);
  let [saves, foreign] = [0, 0];
  for (; Atomics.load(counts, 0) === 0; saves += 1) {
    Atomics.store(counts, 1, saves);
    Atomics.store(counts, 2, foreign);
    const path = join(root, `f${saves % FILES}`);
    const content = `saved ${saves}`.padEnd(20);
    const [found, mine] = [openIfThere(path), last.get(path)];
    const isMine = found !== null && mine !== undefined && fstatSync(found).ino === fstatSync(mine.fd).ino;
    if (!isMine && mine !== undefined) {
      foreign += 1;
      if (!hasNameAndContent(mine)) lost.push(mine.content);
    }
    if (mine !== undefined) closeSync(mine.fd);
    if (found !== null && saves % 2 === 0) {
      ftruncateSync(found, 0);
      writeSync(found, content, 0);
      last.set(path, { fd: found, content });
    } else {
      if (found !== null) closeSync(found);
      const beside = join(root, 'saving~');
      writeFileSync(beside, content);
      last.set(path, { fd: openSync(beside, 'r+'), content });
      renameSync(beside, path);
    }
  }
  for (const mine of last.values()) if (!hasNameAndContent(mine)) lost.push(mine.content);
  return { saves, foreign, lost };
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r+');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function hasNameAndContent({ fd, content }: { fd: number; content: string }): boolean {
  const bytes = Buffer.alloc(100);
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, 100, 0)) === content && fstatSync(fd).nlink > 0;
}

function swapUntilStopped({ root, shared }: Order): { swaps: number } {
  const counts = new Int32Array(shared);
  const [dir, away] = [join(root, 'dir'), join(root, 'away')];
  let swaps = 0;
  for (; Atomics.load(counts, 0) === 0; swaps += 1) {
    Atomics.store(counts, 1, swaps);
    renameSync(dir, away);
    symlinkSync('../outside', dir);
    unlinkSync(dir);
    renameSync(away, dir);
  }
  return { swaps };
}
