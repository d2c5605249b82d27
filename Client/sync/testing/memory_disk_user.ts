import type { DiskStat } from '../disk/disk.ts';
import type { Inode } from './memory_disk_nodes.ts';
import { type MemoryVolume, systemError } from './memory_disk_volume.ts';

/** What a person finds at a path. */
export type Found = {
  readonly path: string;
  readonly stat: DiskStat;
  readonly bytes: Buffer /* not to be changed */;
  readonly target: string;
};

/** Another program on the same tree. What it does is durable at once: what it would lose itself is not the subject. All throw the system's errors. */
export type OtherProgram = {
  /** Opens, cuts to nothing and writes: the same inode if there is a file. */
  write(path: string, bytes: Uint8Array): void;
  /** Writes a temporary file beside it and renames it over: a new inode. */
  save(path: string, bytes: Uint8Array): void;
  append(path: string, bytes: Uint8Array): void;
  /** Other content of the same length under the same modification time. */
  editQuietly(path: string, bytes: Uint8Array): void;
  makeFolder(path: string): void;
  symlink(target: string, path: string): void;
  /** rename(2): replaces a file or an empty folder. */
  move(from: string, to: string): void;
  /** With all that is in it. */
  remove(path: string): void;
  hardLink(from: string, to: string): void;
  setMode(path: string, mode: number): void;
  setTimes(path: string, mtimeMs: number): void;
  makeUndecodable(folder: string, name: Uint8Array): void;
  /** Another, empty file system over a folder. @returns takes it away again */
  mount(path: string): () => void;
  find(path: string): Found | null;
  /** Everything, folders before what is in them, in the order of the names, without those that are not UTF-8. @param skip names at the top that are left out */
  walk(skip?: readonly string[]): Found[];
};

const TEMPORARY = '.saving~';

export function otherProgram(volume: MemoryVolume): OtherProgram {
  function fileAt(path: string, call: string): Inode {
    const inode = volume.find(path, call);
    if (inode.kind !== 'file') throw systemError(inode.kind === 'folder' ? 'EISDIR' : 'EINVAL', call, path);
    if ((inode.attributes.mode & 0o200) === 0) throw systemError('EACCES', call, path);
    return inode;
  }

  function found(path: string, inode: Inode): Found {
    return { path, stat: volume.stat(inode), bytes: inode.bytes, target: inode.target };
  }

  function* below(path: string, folder: Inode, skip: readonly string[]): Generator<Found> {
    const entries = [...folder.entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name, inode, undecodable } of entries) {
      if (skip.includes(name) || undecodable !== undefined) continue;
      const child = path === '' ? name : `${path}/${name}`;
      yield found(child, inode);
      if (inode.kind === 'folder') yield* below(child, inode, []);
    }
  }

  function create(path: string, bytes: Uint8Array): void {
    const inode = volume.make(path, 'file', 0o644, 'open');
    volume.write(inode, bytes, 0);
  }

  function remove(path: string): void {
    const inode = volume.find(path, 'unlink');
    if (inode.kind !== 'folder') {
      volume.unlink(path);
      return;
    }
    for (const { name, undecodable } of [...inode.entries.values()]) {
      if (undecodable !== undefined) throw systemError('ENOTEMPTY', 'rmdir', path);
      remove(`${path}/${name}`);
    }
    volume.rmdir(path);
  }

  return {
    write(path, bytes) {
      if (volume.lookUp(path, 'open') === undefined) create(path, bytes);
      else {
        const inode = fileAt(path, 'open');
        volume.truncate(inode, 0);
        volume.write(inode, bytes, 0);
      }
      volume.syncPath(path);
    },
    save(path, bytes) {
      const there = volume.lookUp(path, 'open');
      if (there !== undefined) fileAt(path, 'open');
      const temporary = `${path}${TEMPORARY}`;
      create(temporary, bytes);
      if (there !== undefined) volume.setMode(volume.find(temporary, 'chmod'), there.attributes.mode);
      volume.rename(temporary, path);
      volume.syncPath(path);
    },
    append(path, bytes) {
      const inode = fileAt(path, 'open');
      volume.write(inode, bytes, inode.bytes.length);
      volume.syncPath(path);
    },
    editQuietly(path, bytes) {
      const inode = fileAt(path, 'open');
      if (inode.bytes.length !== bytes.length) throw systemError('EINVAL', 'write', path);
      const { mtimeMs } = inode.attributes;
      volume.write(inode, bytes, 0);
      volume.setTimes(inode, mtimeMs);
      volume.syncPath(path);
    },
    makeFolder(path) {
      volume.make(path, 'folder', 0o755, 'mkdir');
      volume.syncPath(path);
    },
    symlink(target, path) {
      volume.make(path, 'symlink', 0o777, 'symlink', target);
      volume.syncPath(path);
    },
    move(from, to) {
      volume.rename(from, to);
      volume.syncPath(to);
      volume.syncPath(from);
    },
    remove(path) {
      remove(path);
      volume.syncPath(path);
    },
    hardLink(from, to) {
      volume.link(from, to);
      volume.syncPath(to);
    },
    setMode(path, mode) {
      volume.setMode(volume.find(path, 'chmod'), mode);
      volume.syncPath(path);
    },
    setTimes(path, mtimeMs) {
      volume.setTimes(volume.find(path, 'utime'), mtimeMs);
      volume.syncPath(path);
    },
    makeUndecodable(folder, name) {
      volume.makeUndecodable(folder, name);
      volume.syncPath(folder);
    },
    mount: (path) => volume.mount(path),
    find(path) {
      const inode = volume.peek(path);
      return inode === null ? null : found(path, inode);
    },
    walk: (skip = []) => [...below('', volume.root, skip)],
  };
}
