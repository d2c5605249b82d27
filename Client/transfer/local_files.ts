import { hash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import type { TreeEntry } from '../../Models/tree_frames.ts';

/**
 * The only place of a transfer that opens, writes or renames a local file. Its calls are synchronous on purpose: for small files a call
 * into the thread pool costs more than the file, and transfers of many files run in worker threads.
 */
export function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}

/** Names of files that a transfer has not finished; a put leaves them out. */
export const PART_NAME = /^\.driftless-[0-9a-f]{16}\.part$/;

/** What is carried of a file beside its content. */
export type FileFacts = Pick<Stats, 'size' | 'mtimeMs' | 'mode'>;

/**
 * Whole microseconds: a double of milliseconds holds them exactly, and what `futimes` sets comes back the same. The wire has 53 bits for
 * them: a file from after the year 2255 counts as one from its middle.
 */
export function mtimeUs(stats: Pick<Stats, 'mtimeMs'>): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.round(stats.mtimeMs * 1000)));
}

/** The low nine bits of the mode: what is carried. Set-id and sticky bits never are. */
export function permissions(stats: Pick<Stats, 'mode'>): number {
  return stats.mode & 0o777;
}

/** Size, time and mode are the same: what rsync calls a quick check. */
export function looksSame(stats: Stats, entry: TreeEntry): boolean {
  return stats.isFile() && stats.size === entry.size && mtimeUs(stats) === entry.mtimeUs && permissions(stats) === entry.mode;
}

export function sameSnapshot(before: Stats, after: Stats): boolean {
  return before.size === after.size && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs && before.ino === after.ino;
}

/** `null` when there is nothing at the path. @throws AppError `local_io` */
export function lstatOrNull(path: string): Stats | null {
  return localIo(path, () => lstatSync(path, { throwIfNoEntry: false }) ?? null);
}

export function openForRead(path: string): number {
  return localIo(path, () => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)); // not to wait at a pipe
}

/** Fills `target` from `position`. @returns bytes read; fewer only at the end of the file */
function readFully(fd: number, target: Uint8Array, position: number): number {
  let done = 0;
  while (done < target.length) {
    const read = readSync(fd, target, done, target.length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

/**
 * Reads a small file into `target`, which is exactly as long as `expected` says.
 * @returns the state it was read in; `null` when it changed meanwhile or is not as expected: look at it again
 */
export function readSnapshot(path: string, expected: Stats, target: Uint8Array): Stats | null {
  const fd = openForRead(path);
  try {
    const before = fstatSync(fd);
    if (!before.isFile() || before.size !== expected.size) return null;
    if (readFully(fd, target, 0) !== target.length) return null;
    return sameSnapshot(before, fstatSync(fd)) ? before : null;
  } catch (error) {
    throw localError(path, error);
  } finally {
    closeSync(fd);
  }
}

/** Where a file is written before it takes its name. @param mark makes the name repeatable, so that a broken transfer can go on */
export function partPath(target: string, mark: Buffer = randomBytes(8)): string {
  return join(dirname(target), `.driftless-${mark.subarray(0, 8).toString('hex')}.part`);
}

/**
 * A new file takes the place of `target` in one step: never a half-written one under that name.
 * @param part where it is written first, on the same file system if that can be known; nothing is there yet
 * @throws AppError `local_io`
 */
export function writeSmallFile(target: string, content: readonly Uint8Array[], entry: TreeEntry, part: string): void {
  localIo(target, () => {
    writeNewFile(part, content, entry);
    try {
      takeName(part, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      const near = partPath(target); // the folder of the target is another file system
      writeNewFile(near, content, entry);
      takeName(near, target);
    }
  });
}

/** Of a file until it is whole: what is private is never readable by others, not even before it has its name. */
const PRIVATE = 0o600;

function writeNewFile(path: string, content: readonly Uint8Array[], entry: TreeEntry): void {
  const fd = openSync(path, 'wx', PRIVATE);
  try {
    for (const piece of content) writeFully(fd, piece, null);
    if (entry.mode !== PRIVATE) fchmodSync(fd, entry.mode);
    setTimes(fd, entry);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** One that an earlier transfer left is gone on with. */
export function openPart(part: string): number {
  return localIo(part, () => {
    const fd = openSync(part, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, PRIVATE);
    fchmodSync(fd, PRIVATE);
    return fd;
  });
}

/** Part files in a folder that nothing was written to since: nobody goes on with them. */
export function removeOldParts(folder: string, beforeMs: number): void {
  localIo(folder, () => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (PART_NAME.test(name) && lstatSync(path).mtimeMs < beforeMs) unlinkSync(path);
    }
  });
}

/** @param position `null` writes where the file stands */
function writeFully(fd: number, bytes: Uint8Array, position: number | null): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position === null ? null : position + done);
  }
}

/** Sets what a finished file has beside its content and gives it its name. Closes `fd`. */
export function finishPart(fd: number, part: string, target: string, entry: Pick<TreeEntry, 'mode' | 'mtimeUs'>): void {
  localIo(target, () => {
    try {
      fchmodSync(fd, entry.mode);
      setTimes(fd, entry);
    } finally {
      closeSync(fd);
    }
    takeName(part, target);
  });
}

/** Only time and mode differ: the content stays where it is. */
export function setAttributes(path: string, entry: TreeEntry): void {
  localIo(path, () => {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      fchmodSync(fd, entry.mode);
      setTimes(fd, entry);
    } finally {
      closeSync(fd);
    }
  });
}

export function writeSymlink(target: string, points: string): void {
  const part = partPath(target);
  localIo(target, () => {
    symlinkSync(points, part);
    takeName(part, target);
  });
}

/** Runs `work`, turning the system's errors into `local_io`. */
export function localIo<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw localError(path, error);
  }
}

export function localError(path: string, error: unknown): Error {
  if (error instanceof AppError || !(error instanceof Error) || !('code' in error)) return error as Error;
  return new AppError('local_io', `${path}: ${REASONS[String(error.code)] ?? error.code}`, { cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'no space left on this device',
  EISDIR: 'a folder is in the way',
  ENOTDIR: 'a file is in the way',
  ENOTEMPTY: 'a folder is in the way',
  EEXIST: 'something is in the way',
  ELOOP: 'a symbolic link is in the way',
  EROFS: 'the file system is read-only',
};

function takeName(part: string, target: string): void {
  try {
    renameSync(part, target);
  } catch (error) {
    unlinkSync(part);
    throw error;
  }
}

/** The access time is set with it; a time that the file system cannot hold is left as it is. */
function setTimes(fd: number, entry: Pick<TreeEntry, 'mtimeUs'>): void {
  const number = entry.mtimeUs / 1e6;
  const seconds = number < 0 ? String(number) : number; // Node takes a negative number for the time of now, but not a text of one
  try {
    futimesSync(fd, seconds, seconds);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  }
}
