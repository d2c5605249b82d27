/**
 * What the sync engine needs of a file system, and nothing else of it touches one. Paths are relative to the synced folder, components
 * divided by '/', '' is the folder itself; no call follows a symlink anywhere on the way, and none reaches outside. Calls are synchronous:
 * for small files a call into the thread pool costs more than the file. They throw the system's errors with their `code`: ENOENT, EEXIST,
 * ENOTEMPTY, EISDIR, ENOSPC, EACCES, EIO, EXDEV, EMFILE, …; ENOTDIR or ELOOP for a symlink on the way; EINVAL for a component that is
 * empty, `.` or `..`; ESTALE if the folder itself is no longer where it was. Contract: Client/sync/testing/disk_contract.ts.
 */
export type Disk = {
  /** `null`: nothing there (also when something on the way is not a folder); every other failure is thrown: an error is never taken for an absence. */
  stat(path: string): DiskStat | null;
  list(folder: string): DiskListing;
  /** @throws EINVAL for anything but a symlink, EILSEQ for a target that is not UTF-8 */
  readlink(path: string): string;
  /** An existing regular file, for reading. @throws ELOOP for a symlink, EISDIR, EINVAL or ENXIO for what is special */
  open(path: string): DiskFile;
  /** A new file, for reading and writing. @param mode less the process's mask @throws EEXIST, for a symlink too */
  create(path: string, mode: number): DiskFile;
  /** Of a symlink: another name of the link itself. Never replaces: EEXIST. @throws EPERM for a folder; EPERM, ENOTSUP where there are no links */
  link(from: string, to: string): void;
  /** Replaces, as rename(2) does: whoever calls makes sure that nothing of value is at `to`. Two names of one file: nothing happens. */
  rename(from: string, to: string): void;
  /** @throws EISDIR or EPERM for a folder */
  unlink(path: string): void;
  /** @param mode less the process's mask */
  mkdir(path: string, mode: number): void;
  /** @throws ENOTEMPTY or EEXIST, ENOTDIR */
  rmdir(path: string): void;
  symlink(target: string, path: string): void;
  /** Of a folder or file. @throws ELOOP for a symlink */
  setMode(path: string, mode: number): void;
  /** Of a symlink: its own. A time that the file system cannot hold is left as it is. */
  setTimes(path: string, mtimeUs: number): void;
  /** Names in this folder are durable. */
  syncFolder(folder: string): void;
  /** Everything written so far, content and names, is durable: one call for a batch of files. */
  syncAll(): Promise<void>;
  close(): void;
};

export type DiskStat = {
  readonly kind: 'file' | 'folder' | 'symlink' | 'other';
  readonly dev: number;
  readonly ino: number;
  readonly birthMs: number; // 0 where the file system does not keep it
  readonly size: number; // bytes
  readonly mtimeMs: number; // with fraction; compared, never calculated with
  readonly ctimeMs: number;
  readonly mode: number; // permission bits, 0o7777
};

export type DiskListing = {
  readonly names: readonly string[];
  /** Names that are not UTF-8: they are reported, and nothing else can be done with them. */
  readonly undecodable: readonly Uint8Array[];
};

export type DiskFile = {
  stat(): DiskStat;
  /** @returns bytes read; 0 at the end */
  read(target: Uint8Array, position: number): number;
  readAhead(target: Uint8Array, position: number): Promise<number>;
  /** All of it, or it throws. @throws EBADF if it was opened for reading */
  write(bytes: Uint8Array, position: number): void;
  truncate(size: number): void;
  setMode(mode: number): void;
  setTimes(mtimeUs: number): void;
  sync(): void;
  /** As `sync`, while other work goes on; not to be closed before it has ended. */
  syncLater(): Promise<void>;
  close(): void;
};

/** What a file system can do, found out by trying (`probe.ts`), never guessed from the operating system. */
export type DiskFeatures = {
  readonly hardLinks: boolean;
  /** `Name` and `NAME` are one file. */
  readonly foldsCase: boolean;
  /** Composed and decomposed forms of a name are one file. */
  readonly foldsUnicode: boolean;
  readonly birthTimes: boolean;
  /** Permission bits stay as they are set. */
  readonly permissions: boolean;
  readonly symlinks: boolean;
  /** Names with `:`, a trailing dot or space, `CON` and the like can be made. */
  readonly anyName: boolean;
  readonly timeStepMs: number; // two changes closer than this may have the same time
};

/** Hints that something may have changed; never the truth. Contract: a hint may be late, doubled or lost. */
export type Watcher = {
  /** Folders watched and folders there are, as far as known: fewer where the system's limit was reached. */
  readonly coverage: { readonly watched: number; readonly of: number };
  close(): void;
};
/** @param path what changed, or `null`: anything may have */
export type OnHint = (path: string | null) => void;
