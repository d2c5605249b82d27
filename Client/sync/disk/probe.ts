import { localIo } from '../../transfer/local_files.ts';
import type { Disk, DiskFeatures, DiskStat } from './disk.ts';
import { inFolder } from './disk_paths.ts';
import { PRIVATE_FOLDER } from './local_tree.ts';
import { codeOf, isSameEntry } from './local_tree_states.ts';

const FOLDER = `${PRIVATE_FOLDER}/probe`;
const EVEN_SECOND_US = 1_700_000_000_000_000;
const STEPS_MS = [0.001, 0.01, 0.1, 1, 10, 100, 1000, 2000];
const WRITING_MS = 30; // longer than the system's clock stands still
const WRITES_MAX = 2000;
const UNUSUAL_NAMES = ['a:b', 'a*b?', '<a>|"b"', 'a\\b', 'a.', 'a ', 'con', 'com1.txt'];
/** Not what this file system cannot do, but what is wrong with it now. */
const TROUBLE = ['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ESTALE', 'EACCES'];

/**
 * What this file system can do, found out by trying in the private folder, where nothing of it stays.
 * @throws AppError `local_io` if there is no space, no permission, or no way to read and write
 */
export function probeDisk(disk: Disk): DiskFeatures {
  return localIo(FOLDER, () => {
    makeFolder(disk, PRIVATE_FOLDER);
    makeFolder(disk, FOLDER);
    empty(disk);
    try {
      return findOut(disk);
    } finally {
      empty(disk);
      disk.rmdir(FOLDER);
    }
  });
}

function findOut(disk: Disk): DiskFeatures {
  return {
    hardLinks: can(() => {
      disk.link(make(disk, 'one'), at('two'));
      return isSameEntry(disk.stat(at('one')), disk.stat(at('two')));
    }),
    foldsCase: make(disk, 'Case') !== '' && disk.stat(at('cASE')) !== null,
    foldsUnicode: can(() => make(disk, '\u00e9') !== '' && disk.stat(at('e\u0301')) !== null),
    birthTimes: keepsBirthTime(disk),
    permissions: can(() => [0o751, 0o600, 0o444, 0o640].every((mode) => keepsMode(disk, make(disk, `mode${mode}`), mode))),
    symlinks: can(() => {
      disk.symlink('../target', at('symlink'));
      return disk.readlink(at('symlink')) === '../target';
    }),
    anyName: UNUSUAL_NAMES.every((name) => can(() => make(disk, name) !== '' && disk.list(FOLDER).names.includes(name))),
    timeStepMs: Math.max(storedStepMs(disk), clockStepMs(disk)),
  };
}

function at(name: string): string {
  return inFolder(FOLDER, name);
}

function make(disk: Disk, name: string): string {
  disk.create(at(name), 0o600).close();
  return at(name);
}

function can(attempt: () => boolean): boolean {
  try {
    return attempt();
  } catch (error) {
    if (TROUBLE.includes(codeOf(error)) || codeOf(error) === '') throw error;
    return false;
  }
}

function keepsMode(disk: Disk, path: string, mode: number): boolean {
  disk.setMode(path, mode);
  return disk.stat(path)?.mode === mode;
}

/** Some systems give another time for it where there is none: that one changes. */
function keepsBirthTime(disk: Disk): boolean {
  const path = make(disk, 'birth');
  const born = disk.stat(path)?.birthMs ?? 0;
  disk.setTimes(path, (born + 86_400_000) * 1000);
  disk.setMode(path, 0o640);
  disk.rename(path, at('birth2'));
  return born > 0 && disk.stat(at('birth2'))?.birthMs === born;
}

/** The smallest difference of two times that are kept. */
function storedStepMs(disk: Disk): number {
  const path = make(disk, 'stored');
  disk.setTimes(path, EVEN_SECOND_US);
  const before = disk.stat(path)?.mtimeMs;
  for (const stepMs of STEPS_MS) {
    disk.setTimes(path, EVEN_SECOND_US + stepMs * 1000);
    if (disk.stat(path)?.mtimeMs !== before) return stepMs;
  }
  return STEPS_MS.at(-1) ?? 0;
}

/** Twice the longest time for which what was written got one and the same time. */
function clockStepMs(disk: Disk): number {
  const file = disk.create(at('clock'), 0o600);
  try {
    const startMs = performance.now();
    let [sinceMs, longestMs, last] = [startMs, 0, null as DiskStat | null];
    for (let count = 0; count < WRITES_MAX && performance.now() - startMs < WRITING_MS; count += 1) {
      const beforeMs = performance.now();
      file.write(Buffer.of(count), 0);
      const stat = file.stat();
      if (last?.mtimeMs !== stat.mtimeMs) sinceMs = beforeMs;
      longestMs = Math.max(longestMs, beforeMs - sinceMs);
      last = stat;
    }
    return Math.ceil(2 * longestMs);
  } finally {
    file.close();
  }
}

function makeFolder(disk: Disk, folder: string): void {
  try {
    disk.mkdir(folder, 0o700);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function empty(disk: Disk): void {
  for (const name of disk.list(FOLDER).names) disk.unlink(at(name));
}
