/**
 * What the sync engine needs of a file system, and nothing else of it touches one. Paths are relative to the synced folder, components
 * divided by '/', '' is the folder itself; no call follows a symlink anywhere on the way, and none reaches outside. Calls are synchronous: for small files a call
 * into the thread pool costs more than the file. They throw the system's errors (`code` ENOENT, EEXIST, ENOTEMPTY, ENOSPC, EACCES, EIO, EXDEV, …; ENOTDIR or ELOOP for
 * a symlink on the way). Contract: Client/sync/testing/disk_contract.ts.
 */
export type Disk = {
  /** `null`: nothing there (ENOENT, ENOTDIR); every other failure is thrown, so that an error is never taken for an absence. */
  stat(path: string): DiskStat | null;
  list(folder: string): DiskListing;
  readlink(path: string): string;
  /** An existing regular file, for reading. */
  open(path: string): DiskFile;
  /** A new file (O_EXCL), for reading and writing. */
  create(path: string, mode: number): DiskFile;
  /** Never replaces: EEXIST. */
  link(from: string, to: string): void;
  /** Replaces, as rename(2) does: whoever calls makes sure that nothing of value is at `to`. */
  rename(from: string, to: string): void;
  unlink(path: string): void;
  mkdir(path: string, mode: number): void;
  rmdir(path: string): void;
  symlink(target: string, path: string): void;
  /** Of a folder or file by its name; for a symlink only the times. */
  setMode(path: string, mode: number): void;
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
  write(bytes: Uint8Array, position: number): void;
  truncate(size: number): void;
  setMode(mode: number): void;
  setTimes(mtimeUs: number): void;
  sync(): void;
  close(): void;
};

/** What a file system can do, found out by trying (Client/sync/probe.ts), never guessed from the operating system. */
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
