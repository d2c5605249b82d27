import type { Disk, DiskFile } from '../disk/disk.ts';
import type { Inode } from './memory_disk_nodes.ts';
import { type MemoryVolume, systemError } from './memory_disk_volume.ts';

/** A call that is about to be made, or one of an open file (`file.write`). */
export type DiskCall = { readonly name: keyof Disk | `file.${keyof DiskFile}`; readonly path: string; readonly to?: string };

/**
 * Runs before each call. May throw an error of the system, which the call then fails with; `ProcessKilled`; or change the tree as another
 * program would at that moment.
 */
export type BeforeDiskCall = (call: DiskCall) => void;

/** The process is gone: this call and all later ones do nothing but throw this. */
export class ProcessKilled extends Error {
  override readonly name = 'ProcessKilled';
}

/** Thrown by a hook: of a write, only the first bytes get there, then the disk is full. */
export class ShortWrite extends Error {
  override readonly name = 'ShortWrite';
  readonly bytes: number;
  constructor(bytes: number) {
    super(`only ${bytes} bytes were written`);
    this.bytes = bytes;
  }
}

/** Thrown by a hook: a listing leaves out one of its names. @param share which one, 0 to 1 */
export class ShortListing extends Error {
  override readonly name = 'ShortListing';
  readonly share: number;
  constructor(share: number) {
    super('a name was left out');
    this.share = share;
  }
}

/** The disk as one process has it. */
export type MemoryDisk = Disk & { readonly isDead: boolean; kill(): void };

/** A read may give less than was asked for, and between two of them the file may change. */
const READ_BYTES_MAX = 8192;

export function openMemoryDisk(volume: MemoryVolume, before: BeforeDiskCall = () => undefined): MemoryDisk {
  let dead = false;
  const open = new Set<Inode>();

  function enter(call: DiskCall): void {
    if (dead) throw new ProcessKilled('the process was killed');
    try {
      before(call);
    } catch (error) {
      if (error instanceof ProcessKilled) kill();
      throw error;
    }
    if (dead) throw new ProcessKilled('the process was killed');
  }

  function kill(): void {
    if (dead) return;
    dead = true;
    for (const inode of open) volume.released(inode);
    open.clear();
  }

  function openFile(inode: Inode, path: string, writable: boolean): DiskFile {
    return memoryFile({ volume, inode, path, writable, enter, onClose: () => open.delete(inode) }, () => open.add(inode));
  }

  return {
    get isDead() {
      return dead;
    },
    kill,
    stat(path) {
      enter({ name: 'stat', path });
      const inode = volume.peek(path);
      return inode === null ? null : volume.stat(inode);
    },
    list(path) {
      let left: number | null = null;
      try {
        enter({ name: 'list', path });
      } catch (error) {
        if (!(error instanceof ShortListing)) throw error;
        left = error.share;
      }
      const { names, undecodable } = volume.list(path);
      return { names: left === null ? names : names.toSpliced(Math.floor(left * names.length), 1), undecodable };
    },
    readlink(path) {
      enter({ name: 'readlink', path });
      const inode = volume.find(path, 'readlink');
      if (inode.kind !== 'symlink') throw systemError('EINVAL', 'readlink', path);
      return inode.target;
    },
    open(path) {
      enter({ name: 'open', path });
      const inode = volume.find(path, 'open');
      if (inode.kind === 'symlink') throw systemError('ELOOP', 'open', path);
      if (inode.kind === 'folder') throw systemError('EISDIR', 'open', path);
      if (inode.kind === 'other') throw systemError('ENXIO', 'open', path);
      volume.mustBeReadable(inode, 'open', path);
      return openFile(inode, path, false);
    },
    create(path, mode) {
      enter({ name: 'create', path });
      return openFile(volume.make(path, 'file', mode, 'open'), path, true);
    },
    link(from, to) {
      enter({ name: 'link', path: from, to });
      volume.link(from, to);
    },
    rename(from, to) {
      enter({ name: 'rename', path: from, to });
      volume.rename(from, to);
    },
    unlink(path) {
      enter({ name: 'unlink', path });
      volume.unlink(path);
    },
    mkdir(path, mode) {
      enter({ name: 'mkdir', path });
      volume.make(path, 'folder', mode, 'mkdir');
    },
    rmdir(path) {
      enter({ name: 'rmdir', path });
      volume.rmdir(path);
    },
    symlink(target, path) {
      enter({ name: 'symlink', path });
      volume.make(path, 'symlink', 0o777, 'symlink', target);
    },
    setMode(path, mode) {
      enter({ name: 'setMode', path });
      volume.setMode(volume.find(path, 'chmod'), mode);
    },
    setTimes(path, mtimeUs) {
      enter({ name: 'setTimes', path });
      volume.setTimes(volume.find(path, 'utime'), mtimeUs / 1000);
    },
    syncFolder(path) {
      enter({ name: 'syncFolder', path });
      volume.syncFolder(path);
    },
    async syncAll() {
      enter({ name: 'syncAll', path: '' });
      volume.syncAll();
    },
    close() {
      if (dead) return;
      dead = true;
      for (const inode of open) volume.released(inode);
      open.clear();
    },
  };
}

type OpenFile = {
  readonly volume: MemoryVolume;
  readonly inode: Inode;
  readonly path: string;
  readonly writable: boolean;
  readonly enter: (call: DiskCall) => void;
  readonly onClose: () => void;
};

function memoryFile({ volume, inode, path, writable, enter, onClose }: OpenFile, onOpen: () => void): DiskFile {
  let closed = false;
  inode.handles += 1;
  onOpen();

  function use(name: keyof DiskFile, toWrite = false): void {
    enter({ name: `file.${name}`, path });
    if (closed || (toWrite && !writable)) throw systemError('EBADF', name, path);
  }

  function read(target: Uint8Array, position: number): number {
    const piece = inode.bytes.subarray(position, position + Math.min(target.length, READ_BYTES_MAX));
    target.set(piece);
    return piece.length;
  }

  return {
    stat() {
      use('stat');
      return volume.stat(inode);
    },
    read(target, position) {
      use('read');
      return read(target, position);
    },
    async readAhead(target, position) {
      use('readAhead');
      return read(target, position);
    },
    write(bytes, position) {
      try {
        use('write', true);
      } catch (error) {
        if (!(error instanceof ShortWrite)) throw error;
        volume.write(inode, bytes.subarray(0, error.bytes), position);
        throw systemError('ENOSPC', 'write', path);
      }
      volume.write(inode, bytes, position);
    },
    truncate(size) {
      use('truncate', true);
      volume.truncate(inode, size);
    },
    setMode(mode) {
      use('setMode');
      volume.setMode(inode, mode);
    },
    setTimes(mtimeUs) {
      use('setTimes');
      volume.setTimes(inode, mtimeUs / 1000);
    },
    sync() {
      use('sync');
      volume.syncContent(inode);
    },
    async syncLater() {
      this.sync();
    },
    close() {
      if (closed) return;
      use('close');
      closed = true;
      onClose();
      volume.released(inode);
    },
  };
}
