import type { Action } from './core/plan.ts';
import { type NodeId, ROOT } from './core/tree.ts';
import type { Disk, DiskFeatures, DiskStat } from './disk/disk.ts';
import { folderOf, inFolder } from './disk/disk_paths.ts';
import type { HashLocal } from './disk/hash_local.ts';
import type { LocalTree } from './disk/local_tree.ts';
import type { EarlyFiles } from './early_files.ts';
import type { LocalNode, SeenStat, SyncIndex } from './index/sync_index.ts';
import type { Reason } from './reasons.ts';
import type { Remote } from './remote/remote.ts';
import { localPath, type NameForms, seenStat } from './scan/scan.ts';

export type WorkDeps = {
  readonly disk: Disk;
  readonly tree: LocalTree;
  readonly index: SyncIndex;
  readonly remote: Pick<Remote, 'push' | 'fetch'>;
  readonly names: NameForms;
  readonly features: DiskFeatures;
  readonly now: () => number; // ms
  readonly hash: HashLocal;
  /** What is on its way just now, each by its node; kept here while plans are carried out. */
  readonly underWay: Map<NodeId, UnderWay>;
  readonly early: Pick<EarlyFiles, 'take'>;
  readonly onDone: (done: Done) => void;
  readonly onProblem: (id: NodeId, path: string, reason: Reason, detail: string) => void;
};

export type UnderWay = Extract<Reason, 'sending' | 'fetching'>;
export type Done = { readonly direction: 'up' | 'down'; readonly kind: Action['type']; readonly path: string; readonly bytes: number };

/** What the parts of carrying out one plan share: where things are, and what became of them. */
export class WorkScope {
  readonly deps: WorkDeps;
  /** Folders to be looked at before the next plan: a person was faster there. */
  readonly dirty = new Set<string>();
  achieved = 0;
  /** The server knows something newer: its feed must be read before the next plan. */
  stale = false;
  /** Intents that were not seen through are still recorded: they must be recovered before anything else is done. */
  unfinished = false;
  /** No more is fetched in this pass. */
  diskFull = false;
  /** Content that is going to be fetched, and where what had it is in the trash by now. */
  readonly trashed = new Map<string, string | null>();
  readonly #folders = new Map<NodeId, string | null>(); // paths, until one changes
  readonly #times = new Map<NodeId, number>(); // of folders in which names came or went, the time they had

  constructor(deps: WorkDeps) {
    this.deps = deps;
  }

  path(id: NodeId): string | null {
    const { index, names } = this.deps;
    if (id === ROOT) return '';
    const node = index.local.get(id);
    const folder = node === undefined ? null : this.#folder(node.parent);
    const name = node === undefined ? null : names.toLocal(node.name);
    return folder === null || name === null ? null : inFolder(folder, name);
  }

  /** Where it is, or where it is on the server when it is not here. */
  placeOf(id: NodeId): string {
    const { index, names } = this.deps;
    const parts: string[] = [];
    for (let at = id; at !== ROOT; ) {
      const node = index.local.get(at) ?? index.remote.get(at);
      if (node === undefined || parts.length > 1000) break;
      parts.push(names.toLocal(node.name) ?? node.name);
      at = node.parent;
    }
    return parts.reverse().join('/');
  }

  /** Names of folders have changed. */
  forgetPaths(): void {
    this.#folders.clear();
  }

  #folder(id: NodeId): string | null {
    let path = this.#folders.get(id);
    if (path === undefined) {
      path = localPath(this.deps.index, this.deps.names, id);
      this.#folders.set(id, path);
    }
    return path;
  }

  /** `null`, and a reason, for a name that this disk cannot hold. */
  childPath(id: NodeId, parent: NodeId, name: string): string | null {
    const { names, onProblem } = this.deps;
    const folder = this.#folder(parent);
    if (folder === null) return null;
    const local = names.toLocal(name);
    if (local === null) onProblem(id, inFolder(folder, name), 'name_not_here', name);
    return local === null ? null : inFolder(folder, local);
  }

  seen(stat: DiskStat): SeenStat {
    return seenStat(stat, this.deps.now(), this.deps.features);
  }

  /** Of a file that is still what it was when it was looked at: when since then it was read, nobody knows. */
  seenAgain(stat: DiskStat, { seen }: LocalNode): SeenStat {
    const now = this.seen(stat);
    return { ...now, racy: now.racy || seen.racy };
  }

  tell(direction: Done['direction'], kind: Action['type'], path: string, bytes = 0): void {
    this.achieved += 1;
    this.deps.onDone({ direction, kind, path, bytes });
  }

  /** A person was faster: what is there now is looked at before the next plan. */
  changed(path: string): void {
    this.dirty.add(folderOf(path));
  }

  /** The system refused for this one. @throws what is no failure of the system */
  failed(id: NodeId, path: string, error: unknown): void {
    const { code, message, cause } = error as { code?: unknown; message?: string; cause?: { code?: unknown } };
    if (typeof code !== 'string') throw error;
    const system = typeof cause?.code === 'string' ? cause.code : code;
    const reason = localReason(system);
    if (reason === 'disk_full') this.diskFull = true;
    this.changed(path);
    this.deps.onProblem(id, path, reason, message ?? system);
  }

  /** A folder's time is that of its last change by a person, not by this program. */
  keepTime(folder: NodeId): void {
    if (folder === ROOT || this.#times.has(folder)) return;
    const node = this.deps.index.local.get(folder);
    if (node !== undefined) this.#times.set(folder, node.mtimeUs);
  }

  setTime(folder: NodeId, mtimeUs: number): void {
    this.#times.set(folder, mtimeUs);
  }

  restoreTimes(): void {
    const { index } = this.deps;
    index.observe(() => {
      for (const [id, mtimeUs] of this.#times) {
        const node = index.local.get(id);
        const path = node === undefined ? null : this.path(id);
        if (node !== undefined && path !== null) this.#restoreTime(node, path, mtimeUs);
      }
    });
  }

  #restoreTime(node: LocalNode, path: string, mtimeUs: number): void {
    const { disk, index } = this.deps;
    try {
      if (disk.stat(path)?.kind !== 'folder') return;
      disk.setTimes(path, mtimeUs);
      const stat = disk.stat(path);
      if (stat?.kind === 'folder') index.setLocal(node.id, { ...node, mtimeUs, seen: this.seen(stat) });
    } catch (error) {
      this.failed(node.id, path, error);
    }
  }
}

const LOCAL_REASONS: Readonly<Record<string, Reason>> = {
  EACCES: 'no_permission_local',
  EPERM: 'no_permission_local',
  EROFS: 'no_permission_local',
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
};

/** @param code the system's, as `EACCES` */
export function localReason(code: string): Reason {
  return LOCAL_REASONS[code] ?? 'local_error';
}

/** What the disk shows while nobody has changed the node. */
export function expectedOf({ kind, seen }: LocalNode): DiskStat {
  const { ino, birthMs, size, mtimeMs, ctimeMs, mode } = seen;
  return { kind, dev: 0, ino, birthMs, size, mtimeMs, ctimeMs, mode };
}
