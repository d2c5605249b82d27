import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import type { Disk, DiskFile, DiskListing, DiskStat } from './disk.ts';
import { systemError } from './local_tree_states.ts';
import { diskStat, NodeFile, withSeconds } from './node_disk_file.ts';
import { type FolderPaths, openFolderPaths, splitPath } from './node_disk_folders.ts';

const O_PATH = 0o10000000; // Linux; Node has no name for it

/**
 * A folder of this machine. On Linux nothing outside it can be reached, also while somebody swaps folders for symlinks; elsewhere each
 * component is looked at first. Keeps handles of the folders used last, so the folder's file system is in use until `close`.
 * @param means what the system offers, where it is not to be found out: how folders are reached, and whether all can be synced at once
 * @throws the system's error: ENOENT, ENOTDIR, EACCES
 */
export function openNodeDisk(root: string, means: { folders?: (root: string) => FolderPaths; syncsAtOnce?: boolean } = {}): Disk {
  const real = realpathSync.native(root);
  return new NodeDisk(real, (means.folders ?? openFolderPaths)(real), means.syncsAtOnce ?? null);
}

class NodeDisk implements Disk {
  readonly #root: string;
  readonly #folders: FolderPaths;
  /** Names changed in them since the last `syncAll`, kept where each has to be synced by itself. */
  readonly #touched = new Set<string>();
  #syncsAtOnce: boolean | null; // `null`: not known yet

  constructor(root: string, folders: FolderPaths, syncsAtOnce: boolean | null) {
    this.#root = root;
    this.#folders = folders;
    this.#syncsAtOnce = syncsAtOnce;
  }

  stat(path: string): DiskStat | null {
    try {
      const stats = this.#lstat(path);
      return stats === undefined ? null : diskStat(stats);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      throw error;
    }
  }

  #lstat(path: string): Stats | undefined {
    if (path === '') return lstatSync(this.#root, { throwIfNoEntry: false }); // by its path, so that another folder in its place is seen
    this.#folders.begin();
    const { parent, name } = splitPath(path);
    return lstatSync(`${this.#folders.look(parent)}/${name}`, { throwIfNoEntry: false });
  }

  list(folder: string): DiskListing {
    this.#folders.begin();
    const at = this.#folders.reach(folder);
    const names = readdirSync(at);
    if (!names.some((name) => name.includes('\ufffd'))) return { names, undecodable: [] };
    return decodeNames(readdirSync(at, { encoding: 'buffer' }));
  }

  readlink(path: string): string {
    const bytes = readlinkSync(this.#at(path), { encoding: 'buffer' });
    const target = bytes.toString();
    if (!Buffer.from(target).equals(bytes)) throw systemError('EILSEQ', path);
    return target;
  }

  open(path: string): DiskFile {
    const fd = openSync(this.#at(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK); // not to wait at a pipe
    try {
      const { kind } = diskStat(fstatSync(fd));
      if (kind !== 'file') throw systemError(kind === 'folder' ? 'EISDIR' : 'EINVAL', path);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new NodeFile(fd, false);
  }

  create(path: string, mode: number): DiskFile {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = openSync(this.#at(path), flags, mode);
    this.#touch(path);
    return new NodeFile(fd, !this.#canSyncAtOnce());
  }

  link(from: string, to: string): void {
    const target = this.#at(to);
    const source = this.#beside(from);
    if (process.platform === 'darwin' && lstatSync(source).isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else linkSync(source, target); // which follows symlinks there, and not elsewhere
    this.#touch(to);
  }

  rename(from: string, to: string): void {
    const target = this.#at(to);
    renameSync(this.#beside(from), target);
    this.#folders.moved();
    this.#touch(from);
    this.#touch(to);
  }

  unlink(path: string): void {
    unlinkSync(this.#at(path));
    this.#touch(path);
  }

  mkdir(path: string, mode: number): void {
    mkdirSync(this.#at(path), { mode });
    this.#folders.moved();
    this.#touch(path);
  }

  rmdir(path: string): void {
    rmdirSync(this.#at(path));
    this.#folders.moved();
    this.#touch(path);
  }

  symlink(target: string, path: string): void {
    symlinkSync(target, this.#at(path));
    this.#touch(path);
  }

  setMode(path: string, mode: number): void {
    const at = this.#at(path);
    const byHandle = at.startsWith('/proc/self/fd/');
    const fd = openSync(at, byHandle ? O_PATH | constants.O_NOFOLLOW : constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if (fstatSync(fd).isSymbolicLink()) throw systemError('ELOOP', path);
      chmodSync(byHandle ? `/proc/self/fd/${fd}` : at, mode);
    } finally {
      closeSync(fd);
    }
  }

  setTimes(path: string, mtimeUs: number): void {
    const at = this.#at(path);
    withSeconds(mtimeUs, (seconds) => lutimesSync(at, seconds, seconds));
  }

  syncFolder(folder: string): void {
    if (process.platform === 'win32') return; // which has no such call
    this.#folders.begin();
    const fd = openSync(this.#folders.reach(folder), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  async syncAll(): Promise<void> {
    if (this.#canSyncAtOnce()) return syncFileSystem(this.#root);
    for (const folder of this.#touched) {
      if (this.#isFolder(folder)) this.syncFolder(folder);
      this.#touched.delete(folder);
    }
  }

  close(): void {
    this.#folders.close();
  }

  /** The path for a call of the system's. */
  #at(path: string): string {
    this.#folders.begin();
    return this.#beside(path);
  }

  #beside(path: string): string {
    if (path === '') return `${this.#folders.reach('')}/.`;
    const { parent, name } = splitPath(path);
    return `${this.#folders.reach(parent)}/${name}`;
  }

  #touch(path: string): void {
    if (!this.#canSyncAtOnce()) this.#touched.add(splitPath(path).parent);
  }

  /** Removed since, or replaced: its names are gone with it, and that is recorded in the folder above. */
  #isFolder(folder: string): boolean {
    return this.stat(folder)?.kind === 'folder';
  }

  #canSyncAtOnce(): boolean {
    this.#syncsAtOnce ??= process.platform === 'linux' && spawnSync('sync', ['-f', '/proc'], { stdio: 'ignore' }).status === 0;
    return this.#syncsAtOnce;
  }
}

function decodeNames(raw: readonly Buffer[]): DiskListing {
  const names: string[] = [];
  const undecodable: Buffer[] = [];
  for (const bytes of raw) {
    const name = bytes.toString();
    if (Buffer.from(name).equals(bytes)) names.push(name);
    else undecodable.push(bytes);
  }
  return { names, undecodable };
}

/** syncfs(2), which Node does not have: everything of this file system that was written so far. @throws EIO */
function syncFileSystem(root: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const process = spawn('sync', ['-f', '--', root], { stdio: 'ignore' });
    process.once('error', reject);
    process.once('exit', (code) => (code === 0 ? resolve() : reject(systemError('EIO', root))));
  });
}
