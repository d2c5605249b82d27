import type { DiskListing, DiskStat } from '../disk/disk.ts';
import { makeAllDurable, NameJournal, rebuild } from './memory_disk_names.ts';
import { type Inode, makeContentDurable, type NamedInode, newInode, resize, writeBytes } from './memory_disk_nodes.ts';

export type VolumeOptions = {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Times are rounded down to a multiple of it, ms. */
  readonly timeStepMs?: number;
  readonly foldsCase?: boolean;
  /** Composed and decomposed names are one. */
  readonly foldsUnicode?: boolean;
  /** Names are kept decomposed, whatever was given. */
  readonly decomposes?: boolean;
  readonly birthTimes?: boolean;
  readonly hardLinks?: boolean;
  readonly symlinks?: boolean;
  readonly permissions?: boolean;
  /** `false`: as on Windows. */
  readonly anyName?: boolean;
  readonly device?: number;
};

const NAME_BYTES_MAX = 255;
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);
const NOT_ON_WINDOWS = /[<>:"\\|?*]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** The system's error. */
export function systemError(code: string, call: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path });
}

/** A file system in memory, the same for all that use it: inodes, names, permissions, times, and what of it survives a power cut. */
export class MemoryVolume {
  readonly options: VolumeOptions;
  readonly #journal = new NameJournal();
  readonly #freed: number[] = [];
  #lastInode = 1;
  root: Inode;

  constructor(options: VolumeOptions) {
    this.options = options;
    this.root = newInode('folder', { ino: 1, device: options.device ?? 1 }, { mode: 0o755, mtimeMs: this.#time(), ctimeMs: this.#time() });
    this.root.links = 1;
  }

  // --- looking

  stat(inode: Inode): DiskStat {
    const { options } = this;
    return {
      kind: inode.kind,
      dev: inode.device,
      ino: inode.ino,
      birthMs: options.birthTimes === false ? 0 : inode.birthMs,
      size: inode.kind === 'file' ? inode.bytes.length : inode.kind === 'symlink' ? Buffer.byteLength(inode.target) : 4096,
      ...inode.attributes,
    };
  }

  /** @throws ENOENT, ENOTDIR, ELOOP, EACCES */
  find(path: string, call: string): Inode {
    const found = this.lookUp(path, call);
    if (found === undefined) throw systemError('ENOENT', call, path);
    return found;
  }

  lookUp(path: string, call: string): Inode | undefined {
    if (path === '') return this.root;
    const { folder, key } = this.#place(path, call);
    return folder.entries.get(key)?.inode;
  }

  /** `null`: nothing there, or something on the way is not a folder, a symlink also. */
  peek(path: string): Inode | null {
    try {
      return this.lookUp(path, 'lstat') ?? null;
    } catch (error) {
      if (error instanceof Error && 'code' in error && ABSENT.has(String(error.code))) return null;
      throw error;
    }
  }

  list(path: string): DiskListing {
    const folder = this.find(path, 'scandir');
    this.#mustBeFolder(folder, 'scandir', path);
    this.#mustBeAllowed(folder, 0o400, 'scandir', path);
    const entries = [...folder.entries.values()];
    return {
      names: entries.filter(({ undecodable }) => undecodable === undefined).map(({ name }) => name),
      undecodable: entries.flatMap(({ undecodable }) => (undecodable === undefined ? [] : [undecodable])),
    };
  }

  mustBeReadable(inode: Inode, call: string, path: string): void {
    this.#mustBeAllowed(inode, 0o400, call, path);
  }

  // --- names

  make(path: string, kind: Inode['kind'], mode: number, call: string, target = ''): Inode {
    const { folder, key, name } = this.#place(path, call);
    if (folder.entries.has(key)) throw systemError('EEXIST', call, path);
    if (kind === 'symlink' && this.options.symlinks === false) throw systemError('EPERM', call, path);
    this.#mustBeAllowed(folder, 0o300, call, path);
    const inode = newInode(
      kind,
      { ino: this.#newNumber(), device: folder.device },
      { mode: this.#storedMode(kind, mode), mtimeMs: this.#time(), ctimeMs: this.#time() },
      target,
    );
    this.#change({ inode, removed: null, added: { folder, key, named: { name, inode } } });
    return inode;
  }

  /** A name that is not UTF-8. */
  makeUndecodable(folderPath: string, name: Uint8Array): void {
    const folder = this.find(folderPath, 'open');
    const inode = newInode(
      'file',
      { ino: this.#newNumber(), device: folder.device },
      { mode: 0o644, mtimeMs: this.#time(), ctimeMs: this.#time() },
    );
    const key = `\u0000${Buffer.from(name).toString('hex')}`;
    this.#change({ inode, removed: null, added: { folder, key, named: { name: key, inode, undecodable: name } } });
  }

  link(from: string, to: string): void {
    const inode = this.find(from, 'link');
    if (inode.kind === 'folder' || this.options.hardLinks === false) throw systemError('EPERM', 'link', from);
    const { folder, key, name } = this.#place(to, 'link');
    if (folder.entries.has(key)) throw systemError('EEXIST', 'link', to);
    if (inode.device !== folder.device) throw systemError('EXDEV', 'link', to);
    this.#mustBeAllowed(folder, 0o300, 'link', to);
    this.#change({ inode, removed: null, added: { folder, key, named: { name, inode } } });
    this.#touchInode(inode);
  }

  rename(from: string, to: string): void {
    const inode = this.find(from, 'rename');
    const source = this.#place(from, 'rename');
    const target = this.#place(to, 'rename');
    if (inode.device !== target.folder.device) throw systemError('EXDEV', 'rename', to);
    this.#mustBeAllowed(source.folder, 0o300, 'rename', from);
    this.#mustBeAllowed(target.folder, 0o300, 'rename', to);
    const there = target.folder.entries.get(target.key)?.inode;
    const sameName = source.folder === target.folder && source.key === target.key;
    if (there === inode && !sameName) return; // two links of one file: rename(2) does nothing
    if (inode.kind === 'folder') {
      if (this.#isBelow(target.folder, inode)) throw systemError('EINVAL', 'rename', to);
      if (source.folder !== target.folder) this.#mustBeAllowed(inode, 0o200, 'rename', from);
    }
    if (there !== undefined && there !== inode) this.#mustBeReplaceable(there, inode, to);
    const added = { folder: target.folder, key: target.key, named: { name: target.name, inode } };
    this.#change({ inode, removed: { folder: source.folder, key: source.key }, added });
    this.#touchInode(inode);
  }

  unlink(path: string): void {
    const inode = this.find(path, 'unlink');
    if (inode.kind === 'folder') throw systemError('EISDIR', 'unlink', path);
    const { folder, key } = this.#place(path, 'unlink');
    this.#mustBeAllowed(folder, 0o300, 'unlink', path);
    this.#change({ inode, removed: { folder, key }, added: null });
    this.#touchInode(inode);
  }

  rmdir(path: string): void {
    const inode = this.find(path, 'rmdir');
    this.#mustBeFolder(inode, 'rmdir', path);
    if (inode.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdir', path);
    const { folder, key } = this.#place(path, 'rmdir');
    this.#mustBeAllowed(folder, 0o300, 'rmdir', path);
    this.#change({ inode, removed: { folder, key }, added: null });
  }

  /** Another, empty file system over a folder. @returns takes it away again */
  mount(path: string): () => void {
    const { folder, key } = this.#place(path, 'mount');
    const covered = folder.entries.get(key);
    if (covered === undefined) throw systemError('ENOENT', 'mount', path);
    this.#mustBeFolder(covered.inode, 'mount', path);
    const attributes = { mode: 0o755, mtimeMs: this.#time(), ctimeMs: this.#time() };
    const top = newInode('folder', { ino: 1, device: folder.device + 1 }, attributes);
    folder.entries.set(key, { name: covered.name, inode: { ...top, links: 1, parent: folder } });
    return () => folder.entries.set(key, covered);
  }

  // --- content and attributes

  write(inode: Inode, bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    writeBytes(inode, bytes, position);
    inode.attributes = { ...inode.attributes, mtimeMs: this.#time(), ctimeMs: this.#time() };
  }

  truncate(inode: Inode, size: number): void {
    resize(inode, size);
    inode.attributes = { ...inode.attributes, mtimeMs: this.#time(), ctimeMs: this.#time() };
  }

  setMode(inode: Inode, mode: number): void {
    if (inode.kind === 'symlink') throw systemError('ELOOP', 'chmod', '');
    inode.attributes = { ...inode.attributes, mode: this.#storedMode(inode.kind, mode), ctimeMs: this.#time() };
  }

  /** Kept in steps of the file system, as one does that keeps seconds. */
  setTimes(inode: Inode, mtimeMs: number): void {
    const stepMs = this.options.timeStepMs ?? 0;
    inode.attributes = {
      ...inode.attributes,
      mtimeMs: stepMs < 1 ? mtimeMs : Math.floor(mtimeMs / stepMs) * stepMs,
      ctimeMs: this.#time(),
    };
  }

  /** A handle was closed: a file without a name goes with its last one. */
  released(inode: Inode): void {
    inode.handles -= 1;
    this.#freeIfUnused(inode);
  }

  // --- durability

  syncContent(inode: Inode): void {
    makeContentDurable(inode);
  }

  syncFolder(path: string): void {
    const folder = this.find(path, 'fsync');
    this.#mustBeFolder(folder, 'fsync', path);
    this.#journal.syncFolder(folder);
  }

  syncAll(): void {
    makeAllDurable(this.root, this.#journal);
  }

  /** What somebody else has just done here is durable, with the folders on the way. */
  syncPath(path: string): void {
    const parts = path.split('/');
    for (let depth = 0; depth < parts.length; depth += 1) {
      const folder = this.peek(parts.slice(0, depth).join('/'));
      if (folder?.kind === 'folder') this.#journal.syncFolder(folder);
    }
    const inode = this.peek(path);
    if (inode !== null) makeContentDurable(inode);
  }

  /** Only what is durable is left, with some of what is not. @param random decides what */
  cutPower(random: () => number): void {
    this.#journal.cut(random);
    const reached = rebuild(this.root, random);
    const used = new Set([...reached].map(({ ino }) => ino));
    this.#freed.splice(0, this.#freed.length, ...this.#freed.filter((ino) => !used.has(ino)));
    this.root.links = 1;
  }

  // --- inside

  #time(): number {
    const stepMs = this.options.timeStepMs ?? 0;
    const now = this.options.now();
    return stepMs === 0 ? now : Math.floor(now / stepMs) * stepMs;
  }

  #storedMode(kind: Inode['kind'], mode: number): number {
    if (this.options.permissions === false) return kind === 'folder' ? 0o777 : 0o666;
    return kind === 'symlink' ? 0o777 : mode & 0o7777;
  }

  #key(name: string): string {
    const { foldsCase, foldsUnicode, decomposes } = this.options;
    const unicode = foldsUnicode === true || decomposes === true ? name.normalize('NFD') : name;
    return foldsCase === true ? unicode.toLowerCase() : unicode;
  }

  #place(path: string, call: string): { folder: Inode; key: string; name: string } {
    const parts = path.split('/');
    if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\u0000')))
      throw systemError('EINVAL', call, path);
    const last = parts.pop() ?? '';
    let folder = this.root;
    for (const part of parts) {
      this.#mustBeAllowed(folder, 0o100, call, path);
      const next = folder.entries.get(this.#key(part))?.inode;
      if (next === undefined) throw systemError('ENOENT', call, path);
      if (next.kind === 'symlink') throw systemError('ELOOP', call, path);
      this.#mustBeFolder(next, call, path);
      folder = next;
    }
    this.#mustBeAllowed(folder, 0o100, call, path);
    if (Buffer.byteLength(last) > NAME_BYTES_MAX) throw systemError('ENAMETOOLONG', call, path);
    if (this.options.anyName === false && NOT_ON_WINDOWS.test(last)) throw systemError('EINVAL', call, path);
    return { folder, key: this.#key(last), name: this.options.decomposes === true ? last.normalize('NFD') : last };
  }

  #mustBeFolder(inode: Inode, call: string, path: string): void {
    if (inode.kind !== 'folder') throw systemError('ENOTDIR', call, path);
  }

  #mustBeAllowed(inode: Inode, bits: number, call: string, path: string): void {
    if (this.options.permissions === false) return;
    if ((inode.attributes.mode & bits) !== bits) throw systemError('EACCES', call, path);
  }

  #mustBeReplaceable(there: Inode, by: Inode, path: string): void {
    if (there.kind === 'folder' && by.kind !== 'folder') throw systemError('EISDIR', 'rename', path);
    if (there.kind !== 'folder' && by.kind === 'folder') throw systemError('ENOTDIR', 'rename', path);
    if (there.kind === 'folder' && there.entries.size > 0) throw systemError('ENOTEMPTY', 'rename', path);
  }

  #isBelow(folder: Inode, ancestor: Inode): boolean {
    for (let at: Inode | null = folder; at !== null; at = at.parent) if (at === ancestor) return true;
    return false;
  }

  #change({ inode, removed, added }: { inode: Inode; removed: Place | null; added: (Place & { named: NamedInode }) | null }): void {
    if (removed !== null) {
      removed.folder.entries.delete(removed.key);
      inode.links -= 1;
      this.#touchFolder(removed.folder);
    }
    const replaced = added?.folder.entries.get(added.key)?.inode;
    if (replaced !== undefined && added !== null) {
      this.#journal.add({ inode: replaced, removed: { folder: added.folder, key: added.key }, added: null });
      replaced.links -= 1;
    }
    if (added !== null) {
      added.folder.entries.set(added.key, added.named);
      inode.links += 1;
      if (inode.kind === 'folder') inode.parent = added.folder;
      this.#touchFolder(added.folder);
    }
    this.#journal.add({ inode, removed, added });
    if (replaced !== undefined) this.#freeIfUnused(replaced);
    this.#freeIfUnused(inode);
  }

  #touchFolder(folder: Inode): void {
    folder.attributes = { ...folder.attributes, mtimeMs: this.#time(), ctimeMs: this.#time() };
  }

  #touchInode(inode: Inode): void {
    inode.attributes = { ...inode.attributes, ctimeMs: this.#time() };
  }

  #newNumber(): number {
    const again = this.#freed.shift();
    if (again !== undefined) {
      this.#journal.settleInode(again);
      return again;
    }
    this.#lastInode += 1;
    return this.#lastInode;
  }

  #freeIfUnused(inode: Inode): void {
    if (inode.links === 0 && inode.handles === 0 && !this.#freed.includes(inode.ino)) {
      this.#freed.push(inode.ino);
      this.#freed.sort((a, b) => a - b);
    }
  }
}

type Place = { readonly folder: Inode; readonly key: string };
