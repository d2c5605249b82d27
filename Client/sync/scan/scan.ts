import { foldName, nameProblem } from '../../../Models/names.ts';
import { MODE } from '../../../Models/operations.ts';
import { mtimeUs } from '../../transfer/local_files.ts';
import { type NodeId, ROOT } from '../core/tree.ts';
import type { Disk, DiskFeatures, DiskStat } from '../disk/disk.ts';
import { folderOf, inFolder } from '../disk/disk_paths.ts';
import { PRIVATE_FOLDER } from '../disk/local_tree.ts';
import type { LocalNode, SeenStat, SyncIndex } from '../index/sync_index.ts';
import type { Reason } from '../reasons.ts';
import { pictureOf, type Shown } from './folder_picture.ts';
import type { IgnoreRules, LeftOut } from './ignore_rules.ts';
import { noteLeftOut } from './left_out_places.ts';
import type { LookAhead } from './look_ahead.ts';

/** What is not synced, and which line says so (ignore_rules.ts). */
export type Rules = {
  match(
    path: string,
    kind: 'file' | 'folder',
  ): { readonly source: 'ignored' | 'excluded'; readonly line: number; readonly pattern: string } | null;
};
/** How a name is written on this disk (portable_names.ts). */
export type NameForms = { toLocal(name: string): string | null; toRemote(localName: string): string };

export type ScanDeps = {
  readonly disk: Disk;
  readonly index: SyncIndex;
  readonly rules: Pick<IgnoreRules, 'match' | 'arePlaces' | 'standing'>;
  readonly names: NameForms;
  readonly features: DiskFeatures;
  readonly now: () => number; // ms
  /** Files that are being written to just now, by path: left as they are known. */
  readonly restless: ReadonlySet<string>;
  /** Begins to look at folders beside this scan; `null` where that is not worth it. */
  readonly lookAhead?: () => LookAhead | null;
  /** Called between slices of work, so that a long scan does not hold up the process. */
  readonly breathe: () => Promise<void>;
};

export type Finding = { readonly path: string; readonly id: NodeId | null; readonly reason: Reason; readonly detail: string };
export type ScanReport = {
  readonly entries: number;
  /** Entries that cannot be synced as they are. */
  readonly findings: readonly Finding[];
  /** Folders whose content could not be seen: nothing may be concluded about them. */
  readonly unreadable: readonly NodeId[];
  /** The same numbers as before, but so recent that the content must be compared. */
  readonly suspects: readonly NodeId[];
  /** Folders that were looked at, as paths: what was known of problems directly in them is known anew. */
  readonly folders: ReadonlySet<string>;
};

const SLICE_MS = 10;
const DEPTH_MAX = 1000; // folders in each other
const SHARED_TOGETHER = 8; // folders
const SHARED_MAX = 32; // that are looked at elsewhere at a time: enough for a slice, and not long to wait for at the end
const CLOCK_STEP_MS = 10; // a system's clock for file times moves on in steps of up to this

const foldTogether = (path: string, other: string): boolean =>
  path !== other && folderOf(path) === folderOf(other) && foldName(path) === foldName(other);

/** Who writes may set the time of a file, so that it looks old: the time of change is the system's own. */
export function seenStat(stat: DiskStat, nowMs: number, features: Pick<DiskFeatures, 'timeStepMs'>): SeenStat {
  const { ino, birthMs, size, mtimeMs, ctimeMs, mode } = stat;
  const stepMs = features.timeStepMs + CLOCK_STEP_MS;
  const isNow = ctimeMs > nowMs - stepMs || Math.abs(mtimeMs - nowMs) < stepMs;
  const racy = stat.kind !== 'folder' && isNow;
  return { ino, birthMs, size: stat.kind === 'folder' ? 0 : size, mtimeMs, ctimeMs, mode, racy };
}

/** The content cannot have changed since. */
export function isUnchanged(stat: DiskStat, node: LocalNode): boolean {
  const { seen } = node;
  return (
    stat.kind === node.kind &&
    stat.ino === seen.ino &&
    stat.size === seen.size &&
    stat.mtimeMs === seen.mtimeMs &&
    stat.ctimeMs === seen.ctimeMs &&
    stat.mode === seen.mode // where times go in long steps nothing else may tell that it was changed
  );
}

/** Where a node is on this disk, from the local tree; `null`: its name or one above it cannot be written here. */
export function localPath(index: Pick<SyncIndex, 'local'>, names: NameForms, id: NodeId): string | null {
  const parts: string[] = [];
  for (let at = id; at !== ROOT; ) {
    const node = index.local.get(at);
    const name = node === undefined ? null : names.toLocal(node.name);
    if (node === undefined || name === null || parts.length > DEPTH_MAX) return null;
    parts.push(name);
    at = node.parent;
  }
  return parts.reverse().join('/');
}

const identityOf = ({ ino, birthMs }: Pick<DiskStat, 'ino' | 'birthMs'>): string => `${ino} ${birthMs}`;

/** A folder that stands where another one was: the same one made anew, or another. Decided once everything else was looked at. */
type Doubtful = { readonly path: string; readonly stat: DiskStat; readonly known: LocalNode };
/** One name in a folder. `left`: it is being written to just now. */
type Look = {
  readonly name: string;
  readonly path: string;
  readonly stat: DiskStat | null;
  readonly left: DiskStat | null;
  readonly error: unknown;
};
type Work = { readonly id: NodeId; readonly path: string; readonly deep: boolean };

/** Like no picture: the next time it can be seen, it is looked at whole. */
const UNSEEN = { shown: Uint8Array.of(0), folders: [] };

/** Two nodes may be known under one name, where one was taken away and another put there since: then it is the one that is there. */
function byName(children: readonly LocalNode[], looks: readonly Look[], names: NameForms): Map<string, LocalNode> {
  const known = new Map<string, LocalNode>();
  for (const child of children) {
    const isThere = (): boolean => looks.some(({ name, stat }) => names.toRemote(name) === child.name && stat?.ino === child.seen.ino);
    if (!known.has(child.name) || isThere()) known.set(child.name, child);
  }
  return known;
}

function foldersOf(looks: readonly Look[]): string[] {
  return looks.flatMap(({ name, stat }) => (stat?.kind === 'folder' ? [name] : []));
}

/** Compares the disk with the local tree of the index, and brings that up to date. */
export class Scan {
  readonly #deps: ScanDeps;
  readonly #work: Work[] = [];
  readonly #doubtful: Doubtful[] = [];
  readonly #missing = new Map<NodeId, string>(); // by where they were
  readonly #matched = new Set<NodeId>(); // found elsewhere than before
  readonly #left = new Set<string>(); // identities of what has come elsewhere and is left for now: it is not gone
  readonly #findings: Finding[] = [];
  readonly #unreadable: NodeId[] = [];
  readonly #suspects: NodeId[] = [];
  readonly #folders = new Set<string>();
  readonly #onDevice = new Map<string, boolean>(); // folders in which something is missing: still of this file system
  readonly #shared = new Map<string, Work>(); // by path: looked at elsewhere just now
  #ahead: LookAhead | null = null;
  readonly #device: number | undefined; // a synced folder is one file system
  #entries = 0;

  constructor(deps: ScanDeps) {
    this.#deps = deps;
    this.#device = deps.disk.stat('')?.dev;
  }

  /** Everything. */
  async full(): Promise<ScanReport> {
    const { lookAhead, restless } = this.#deps;
    if (lookAhead !== undefined && restless.size === 0) this.#ahead = lookAhead();
    this.#work.push({ id: ROOT, path: '', deep: true });
    return this.#run();
  }

  /** These folders without what is in the folders in them; what is new is looked at whole. */
  async folders(paths: Iterable<string>): Promise<ScanReport> {
    const { index } = this.#deps;
    for (const path of paths) {
      const found = index.observe(() => this.#nearest(this.#unmounted(path)));
      if (found !== null && !this.#work.some((work) => work.path === found.path)) this.#work.push({ ...found, deep: false });
    }
    return this.#run();
  }

  async #run(): Promise<ScanReport> {
    const { index, now, breathe } = this.#deps;
    try {
      while (this.#work.length > 0 || this.#doubtful.length > 0 || this.#shared.size > 0) {
        if (this.#work.length === 0 && this.#shared.size > 0) await this.#ahead?.arrival;
        index.observe(() => {
          this.#takeShared();
          const until = now() + SLICE_MS;
          while (this.#work.length > 0 && now() < until) this.#next();
          if (this.#work.length === 0 && this.#shared.size === 0) this.#next();
        });
        this.#share();
        await breathe();
      }
    } finally {
      this.#ahead?.close();
    }
    index.observe(() => this.#endMissing());
    return {
      entries: this.#entries,
      findings: this.#findings,
      unreadable: this.#unreadable,
      suspects: this.#suspects,
      folders: this.#folders,
    };
  }

  /** The folder, or the nearest one above it that is known. */
  #nearest(path: string): { id: NodeId; path: string } | null {
    const { index, names } = this.#deps;
    let id = ROOT;
    let at = '';
    for (const part of path === '' ? [] : path.split('/')) {
      const name = names.toRemote(part);
      const [child] = index.local.named(id, foldName(name)).filter((node) => node.name === name);
      if (child === undefined || child.kind !== 'folder') break;
      id = child.id;
      at = inFolder(at, part);
    }
    return { id, path: at };
  }

  /** The folder, or that in which another file system is mounted that holds it. */
  #unmounted(path: string): string {
    let at = path;
    let mounted = false;
    for (; at !== '' && this.#isMounted(at); at = folderOf(at)) mounted = true;
    return mounted ? at : path;
  }

  /** What cannot be looked at is found to be so once it is looked into. */
  #isMounted(path: string): boolean {
    try {
      const stat = this.#deps.disk.stat(path);
      return stat !== null && stat.kind === 'folder' && stat.dev !== this.#device;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      return false;
    }
  }

  /** Hands those that come last to the other thread, as long as it has little to do. */
  #share(): void {
    if (this.#ahead === null) return;
    while (this.#work.length > SHARED_TOGETHER && this.#shared.size < SHARED_MAX) {
      const given = this.#work.splice(0, SHARED_TOGETHER);
      for (const work of given) this.#shared.set(work.path, work);
      this.#ahead.give(given.map(({ path }) => path));
    }
  }

  #takeShared(): void {
    if (this.#ahead === null) return;
    for (const [path, shown] of this.#ahead.take()) {
      const work = this.#shared.get(path);
      this.#shared.delete(path);
      if (work !== undefined && !(shown !== null && this.#isShownAsPictured(work, shown))) this.#folder(work);
    }
  }

  #isShownAsPictured({ id, path }: Work, { shown, folders, entries }: Shown): boolean {
    if (!this.#isAsPictured(id, path, folders, shown)) return false;
    this.#folders.add(path);
    this.#entries += entries;
    return true;
  }

  #next(): void {
    const work = this.#work.pop();
    const doubtful = work === undefined ? this.#doubtful.pop() : undefined;
    if (work !== undefined) this.#folder(work);
    else if (doubtful !== undefined) this.#settleDoubt(doubtful);
  }

  #folder({ id, path, deep }: Work): void {
    const { disk, index, names } = this.#deps;
    let listing: ReturnType<Disk['list']>;
    try {
      listing = disk.list(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code === 'ENOENT' || code === 'ENOTDIR') && path !== '') return; // gone meanwhile: the folder above it is looked at next
      this.#cannotRead(path, id, error);
      index.setPicture(id, UNSEEN);
      return;
    }
    const looks = this.#look(path, listing.names);
    const shown = deep && listing.undecodable.length === 0 ? pictureOf(looks) : null;
    this.#folders.add(path);
    if (shown !== null && this.#isAsPictured(id, path, foldersOf(looks), shown)) return;
    const children = index.local.children(id);
    const known = byName(children, looks, names);
    const seen = new Set<NodeId>();
    const findings = this.#findings.length;
    for (const look of looks) this.#entry({ id, path, deep }, look, known, seen);
    if (shown !== null && this.#findings.length === findings && known.size === children.length) this.#keepPicture(id, shown, looks, known);
    for (const bytes of listing.undecodable) {
      const shown = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
      this.#find({ path: inFolder(path, shown), id: null, reason: 'name_not_utf8', detail: Buffer.from(bytes).toString('hex') });
    }
    for (const child of children) if (!seen.has(child.id) && !this.#matched.has(child.id)) this.#missing.set(child.id, path);
  }

  #look(folder: string, listed: readonly string[]): Look[] {
    const { disk, restless } = this.#deps;
    const looks: Look[] = [];
    for (const name of listed) {
      if (folder === '' && name === PRIVATE_FOLDER) continue;
      const path = inFolder(folder, name);
      this.#entries += 1;
      try {
        const stat = disk.stat(path);
        if (stat === null) continue;
        const isLeft = restless.size > 0 && restless.has(path) && stat.kind !== 'folder';
        looks.push({ name, path, stat: isLeft ? null : stat, left: isLeft ? stat : null, error: null });
      } catch (error) {
        looks.push({ name, path, stat: null, left: null, error });
      }
    }
    return looks;
  }

  /** Nothing in the folder has changed since all in it was in sync. */
  #isAsPictured(id: NodeId, path: string, inside: readonly string[], shown: Uint8Array): boolean {
    const folders = this.#deps.index.pictured(id, shown);
    if (folders === null || inside.length !== folders.length) return false;
    for (const [i, name] of inside.entries()) this.#work.push({ id: folders[i] as NodeId, path: inFolder(path, name), deep: true });
    return true;
  }

  /** Kept only of a folder in which everything is in sync, and nothing is so recent that its numbers prove nothing. */
  #keepPicture(id: NodeId, shown: Uint8Array, looks: readonly Look[], known: ReadonlyMap<string, LocalNode>): void {
    const { index, names } = this.#deps;
    if (known.size !== looks.length) return;
    const folders: NodeId[] = [];
    for (const { name } of looks) {
      const child = known.get(names.toRemote(name));
      if (child === undefined || child.seen.racy) return;
      if (child.kind === 'folder') folders.push(child.id);
    }
    if (!index.differsIn(id)) index.setPicture(id, { shown, folders });
  }

  #entry(folder: Work, { name: localName, path, stat, left, error }: Look, known: ReadonlyMap<string, LocalNode>, seen: Set<NodeId>): void {
    const { names, rules } = this.#deps;
    const name = names.toRemote(localName);
    const existing = known.get(name);
    if (stat === null) {
      if (existing !== undefined) seen.add(existing.id);
      if (left !== null && left.birthMs !== 0 && (existing === undefined || identityOf(existing.seen) !== identityOf(left)))
        this.#left.add(identityOf(left));
      if (error !== null) this.#cannotRead(path, existing?.id ?? null, error);
      return;
    }
    const kind = stat.kind === 'other' ? 'file' : stat.kind;
    const rule = existing === undefined ? noteLeftOut(this.#deps, { folder: folder.id, name, path, kind }) : rules.match(path, kind);
    if (rule !== null) {
      this.#leaveOut(path, existing, rule);
      if (existing !== undefined) seen.add(existing.id);
      return;
    }
    const problem = nameProblem(name);
    if (stat.kind === 'folder' && stat.dev !== this.#device) this.#leaveMounted(folder.id, path, name, existing, seen);
    else if (stat.kind === 'other') this.#find({ path, id: null, reason: 'special_file', detail: '' });
    else if (problem !== null) this.#impossibleName(folder, path, stat, problem);
    else if (existing !== undefined && (existing.kind === 'folder') === (stat.kind === 'folder')) {
      if (stat.kind === 'folder') this.#knownFolder(folder, path, stat, existing, seen);
      else {
        seen.add(existing.id);
        this.#knownLeaf(path, stat, existing);
      }
    } else this.#newEntry(folder, path, name, stat);
  }

  /** What had another name until now is left as it was known: nobody deleted it. */
  #impossibleName(folder: Work, path: string, stat: DiskStat, problem: string): void {
    this.#find({ path, id: null, reason: 'name_not_there', detail: problem });
    const mover = this.#movedHere(folder, path, stat);
    if (mover === null) return;
    this.#matched.add(mover);
    this.#missing.delete(mover);
  }

  #leaveOut(path: string, existing: LocalNode | undefined, rule: LeftOut): void {
    if (existing !== undefined) this.#deps.index.exclude(existing.id);
    this.#find({ path, id: null, reason: rule.source, detail: `${rule.line}: ${rule.pattern}` });
  }

  /** Neither what is mounted nor what it covers says anything about what was known here. */
  #leaveMounted(folder: NodeId, path: string, name: string, existing: LocalNode | undefined, seen: Set<NodeId>): void {
    if (existing !== undefined) seen.add(existing.id);
    const there = this.#deps.index.remote.named(folder, foldName(name)).find((node) => node.name === name);
    this.#findMounted(path, existing?.id ?? there?.id ?? null);
  }

  #findMounted(path: string, id: NodeId | null): void {
    this.#find({ path, id, reason: 'other_file_system', detail: '' });
  }

  #knownLeaf(path: string, stat: DiskStat, known: LocalNode): void {
    if (isUnchanged(stat, known)) {
      if (!known.seen.racy) return;
      if (stat.kind === 'symlink') this.#racyLink(path, stat, known);
      else this.#suspects.push(known.id);
      return;
    }
    if (stat.ino !== known.seen.ino && stat.birthMs !== 0) this.#checkWhereItWas(stat, known.id);
    this.#set(path, known.id, known.parent, known.name, stat);
  }

  /** Where it still leads to the same, its time stays the agreed one: the disk may keep it in longer steps, or not at all. */
  #racyLink(path: string, stat: DiskStat, known: LocalNode): void {
    const { disk, index, now, features } = this.#deps;
    try {
      if (disk.readlink(path) === known.content) index.setLocal(known.id, { ...known, seen: seenStat(stat, now(), features) });
      else this.#set(path, known.id, known.parent, known.name, stat);
    } catch (error) {
      this.#cannotRead(path, known.id, error);
    }
  }

  /** A file that was saved under another name and renamed is gone from there, which may have been left open by an earlier scan. */
  #checkWhereItWas({ ino, birthMs }: DiskStat, now: NodeId): void {
    const { index, names } = this.#deps;
    for (const id of index.byIdentity(ino, birthMs)) {
      const path = id === now || index.local.get(id) === undefined ? null : localPath(index, names, id);
      if (path !== null) this.#missing.set(id, folderOf(path));
    }
  }

  #knownFolder(folder: Work, path: string, stat: DiskStat, known: LocalNode, seen: Set<NodeId>): void {
    const same = stat.ino === known.seen.ino && stat.birthMs === known.seen.birthMs;
    if (!same && known.seen.ino !== 0) {
      const mover = this.#movedHere(folder, path, stat);
      if (mover === null) {
        seen.add(known.id);
        this.#doubtful.push({ path, stat, known });
      } else this.#moveHere(folder, path, known.name, stat, mover);
      return;
    }
    seen.add(known.id);
    this.#refreshFolder(path, stat, known, folder.deep);
  }

  #refreshFolder(path: string, stat: DiskStat, known: LocalNode, deep: boolean): void {
    if (
      stat.mtimeMs !== known.seen.mtimeMs ||
      stat.ino !== known.seen.ino ||
      stat.birthMs !== known.seen.birthMs ||
      this.#mode(stat, known) !== known.mode
    ) {
      this.#set(path, known.id, known.parent, known.name, stat);
    }
    if (deep) this.#work.push({ id: known.id, path, deep: true });
  }

  #newEntry(folder: Work, path: string, name: string, stat: DiskStat): void {
    const mover = this.#movedHere(folder, path, stat);
    if (mover !== null) {
      this.#moveHere(folder, path, name, stat, mover);
      return;
    }
    const id = this.#deps.index.newId();
    this.#set(path, id, folder.id, name, stat);
    if (stat.kind === 'folder') this.#work.push({ id, path, deep: true });
  }

  /**
   * A node that was elsewhere and is not there any more, and is this very file or folder. Where a folder was put into a new one that has
   * its name, the new one was taken for the node already: then this one is new.
   */
  #movedHere(folder: Work, path: string, stat: DiskStat): NodeId | null {
    const { index, names } = this.#deps;
    if (stat.birthMs === 0) return null;
    for (const id of index.byIdentity(stat.ino, stat.birthMs)) {
      const node = index.local.get(id) ?? index.ancestor.get(id);
      if (node === undefined || this.#matched.has(id) || (node.kind === 'folder') !== (stat.kind === 'folder')) continue;
      const before = index.local.get(id) === undefined ? null : localPath(index, names, id);
      if (this.#isWithin(folder.id, id)) continue;
      if (before === null || !this.#isStillAt(before, path, stat)) return id;
    }
    return null;
  }

  #isWithin(folder: NodeId, id: NodeId): boolean {
    let at: NodeId | undefined = folder;
    for (let depth = 0; at !== undefined && at !== ROOT && depth < DEPTH_MAX; depth += 1) {
      if (at === id) return true;
      at = this.#deps.index.local.get(at)?.parent;
    }
    return false;
  }

  /** It has both names: a hard link. What cannot be looked at counts as still there: nothing is concluded from an error. */
  #isStillAt(before: string, path: string, stat: DiskStat): boolean {
    try {
      const there = this.#deps.disk.stat(before);
      if (there === null || there.ino !== stat.ino || there.birthMs !== stat.birthMs) return false;
      return !foldTogether(before, path) || this.#isListed(before);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      return true;
    }
  }

  /** Under exactly this name: where names fold together, others lead to the same file. */
  #isListed(path: string): boolean {
    return this.#deps.disk.list(folderOf(path)).names.includes(path.slice(path.lastIndexOf('/') + 1));
  }

  #moveHere(folder: Work, path: string, name: string, stat: DiskStat, id: NodeId): void {
    this.#matched.add(id);
    this.#missing.delete(id);
    this.#set(path, id, folder.id, name, stat);
    if (stat.kind === 'folder' && this.#deps.rules.arePlaces) this.#deps.index.forgetPictures();
    if (stat.kind === 'folder') this.#work.push({ id, path, deep: true });
  }

  /** The folder that was known here has not appeared elsewhere: then this is the same one, made anew. */
  #settleDoubt({ path, stat, known }: Doubtful): void {
    const { index } = this.#deps;
    const now = index.local.get(known.id);
    if (now !== undefined && now.parent === known.parent && now.name === known.name) {
      this.#set(path, known.id, known.parent, known.name, stat);
      this.#work.push({ id: known.id, path, deep: true });
      return;
    }
    const id = index.newId();
    this.#set(path, id, known.parent, known.name, stat);
    this.#work.push({ id, path, deep: true });
  }

  #set(path: string, id: NodeId, parent: NodeId, name: string, stat: DiskStat): void {
    const { disk, index, now, features } = this.#deps;
    const before = index.local.get(id) ?? index.ancestor.get(id);
    let content: string | null = '';
    try {
      if (stat.kind === 'symlink') content = disk.readlink(path);
      else if (stat.kind === 'file') content = null;
    } catch (error) {
      this.#cannotRead(path, id, error);
      return;
    }
    const kind = stat.kind === 'other' ? 'file' : stat.kind;
    index.setLocal(id, {
      id,
      parent,
      name,
      kind,
      content,
      mode: this.#mode(stat, before),
      mtimeUs: mtimeUs(stat),
      seen: seenStat(stat, now(), features),
    });
  }

  #mode(stat: DiskStat, before: { readonly mode: number } | undefined): number {
    if (stat.kind === 'symlink') return MODE.symlink; // some systems make them with other bits, and all follow them by the target's
    if (this.#deps.features.permissions) return stat.mode & 0o777;
    return before?.mode ?? (stat.kind === 'folder' ? 0o755 : 0o644);
  }

  #endMissing(): void {
    const { disk, index, names, restless } = this.#deps;
    for (const [id, folder] of this.#missing) {
      const node = index.local.get(id);
      const path = node === undefined ? null : localPath(index, names, id);
      if (node === undefined || path === null || folderOf(path) !== folder || this.#left.has(identityOf(node.seen))) continue;
      if (restless.has(path)) continue; // it may be back in a moment
      try {
        const stat = disk.stat(path);
        // something of another kind in its place is another node; the same kind came since: it is looked at next time
        const isOther = stat === null || (stat.kind === 'folder') !== (node.kind === 'folder') || this.#isTaken(node);
        if ((isOther || !this.#isListed(path)) && this.#isOnDevice(folder, node.parent)) index.setLocalGone(id);
      } catch (error) {
        this.#cannotRead(path, id, error);
      }
    }
  }

  /** Something may have been mounted over it since it was looked at from above. */
  #isOnDevice(folder: string, id: NodeId): boolean {
    const known = this.#onDevice.get(folder);
    if (known !== undefined) return known;
    const isMounted = this.#isMounted(folder);
    if (isMounted) this.#findMounted(folder, id);
    this.#onDevice.set(folder, !isMounted);
    return !isMounted;
  }

  /** Another node was found under its name. */
  #isTaken({ id, parent, name }: LocalNode): boolean {
    return this.#deps.index.local.named(parent, foldName(name)).some((other) => other.id !== id && other.name === name);
  }

  #cannotRead(path: string, id: NodeId | null, error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (id !== null) this.#unreadable.push(id);
    const reason: Reason = code === 'EACCES' || code === 'EPERM' ? 'no_permission_local' : 'local_error';
    this.#find({ path, id, reason, detail: reason === 'local_error' ? message : code });
  }

  #find(finding: Finding): void {
    this.#findings.push(finding);
  }
}
