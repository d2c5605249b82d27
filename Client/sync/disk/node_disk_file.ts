import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  read,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { DiskFile, DiskStat } from './disk.ts';

const readLater = promisify(read);
const fsyncLater = promisify(fsync);

/** An open file of the system's. */
export class NodeFile implements DiskFile {
  readonly #fd: number;
  readonly #syncWhenClosed: boolean;
  #unsynced = false;

  /** @param syncWhenClosed there will be no sync of everything that would take it along */
  constructor(fd: number, syncWhenClosed: boolean) {
    this.#fd = fd;
    this.#syncWhenClosed = syncWhenClosed;
  }

  stat(): DiskStat {
    return diskStat(fstatSync(this.#fd));
  }

  read(target: Uint8Array, position: number): number {
    return readSync(this.#fd, target, 0, target.length, position);
  }

  async readAhead(target: Uint8Array, position: number): Promise<number> {
    return (await readLater(this.#fd, target, 0, target.length, position)).bytesRead;
  }

  write(bytes: Uint8Array, position: number): void {
    this.#unsynced = true;
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
  }

  truncate(size: number): void {
    this.#unsynced = true;
    ftruncateSync(this.#fd, size);
  }

  setMode(mode: number): void {
    fchmodSync(this.#fd, mode);
  }

  setTimes(mtimeUs: number): void {
    withSeconds(mtimeUs, (seconds) => futimesSync(this.#fd, seconds, seconds));
  }

  sync(): void {
    fsyncSync(this.#fd);
    this.#unsynced = false;
  }

  async syncLater(): Promise<void> {
    await fsyncLater(this.#fd);
  }

  close(): void {
    try {
      if (this.#unsynced && this.#syncWhenClosed) fsyncSync(this.#fd);
    } finally {
      closeSync(this.#fd);
    }
  }
}

export function diskStat(stats: Stats): DiskStat {
  return {
    kind: kindOf(stats.mode),
    dev: stats.dev,
    ino: stats.ino,
    birthMs: stats.birthtimeMs,
    size: stats.size,
    mtimeMs: stats.mtimeMs,
    ctimeMs: stats.ctimeMs,
    mode: stats.mode & 0o7777,
  };
}

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK } = constants;

function kindOf(mode: number): DiskStat['kind'] {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'folder';
    case S_IFLNK:
      return 'symlink';
    default:
      return 'other';
  }
}

/** A time that the file system cannot hold is left as it is. */
export function withSeconds(mtimeUs: number, set: (seconds: number | string) => void): void {
  const number = mtimeUs / 1e6;
  try {
    set(number < 0 ? String(number) : number); // Node takes a negative number for the time of now, but not a text of one
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  }
}
