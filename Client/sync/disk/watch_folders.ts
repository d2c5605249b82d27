import { type Dirent, type FSWatcher, lstatSync, readdirSync, readFileSync, type Stats, watch } from 'node:fs';
import { basename, join } from 'node:path';
import type { OnHint, Watcher } from './disk.ts';
import { inFolder } from './disk_paths.ts';
import { codeOf } from './local_tree_states.ts';

const SLICE_MS = 20; // of the thread's time in one go
const BURST_EVENTS_MAX = 4096;

/** A folder that is watched, or should be. */
type Watched = {
  readonly path: string;
  readonly ino: number;
  readonly folders: Map<string, Watched>;
  watcher: FSWatcher | null;
  isForgotten: boolean;
};

/**
 * Linux watches folders, not trees: one watcher for each. Node's own recursive watcher does the same, but it keeps the name of every file, goes through
 * all of them for each one that is removed, follows symlinks, and throws out of its own callback when the limit of watches is reached.
 *
 * A folder is watched first and listed then, so that what comes meanwhile is seen by one or the other. The system drops events when too many
 * wait, and Node does not tell: as many as that at once are taken for more.
 */
export class FolderWatchers implements Watcher {
  readonly #root: string;
  readonly #left: string; // the one name at the top that is left out
  readonly #onHint: OnHint;
  readonly #burstMax = burstMax();
  #top: Watched | null = null;
  #counts = { watched: 0, of: 0 };
  #queue: { folder: Watched; isNew: boolean }[] = [];
  #slice: NodeJS.Immediate | null = null;
  #isLate = false; // something may have changed before it was watched
  #isLimited = false; // some are not watched: told once
  #burst = 0;
  #burstEnd: NodeJS.Immediate | null = null;
  #closed = false;

  constructor(root: string, left: string, onHint: OnHint) {
    this.#root = root;
    this.#left = left;
    this.#onHint = onHint;
    this.#start();
  }

  get coverage(): { watched: number; of: number } {
    return { ...this.#counts };
  }

  close(): void {
    this.#closed = true;
    if (this.#slice !== null) clearImmediate(this.#slice);
    if (this.#burstEnd !== null) clearImmediate(this.#burstEnd);
    this.#stop();
  }

  #start(): void {
    const stat = statOf(this.#root);
    if (stat === null || !stat.isDirectory()) {
      this.#counts = { watched: 0, of: 1 };
      setImmediate(() => this.#hint(null));
      return;
    }
    this.#top = this.#add('', stat.ino);
    this.#queue.push({ folder: this.#top, isNew: false });
    this.#work();
    this.#isLate = this.#queue.length > 0;
  }

  /** Watches what waits for it, for as long as it does not hold up the rest of the process. */
  #work(): void {
    this.#slice = null;
    const endMs = performance.now() + SLICE_MS;
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) {
      this.#watch(next.folder, next.isNew);
      if (performance.now() > endMs) break;
    }
    if (this.#queue.length > 0) this.#slice ??= setImmediate(() => this.#work());
    else if (this.#isLate) {
      this.#isLate = false;
      this.#hint(null);
    }
  }

  #watch(folder: Watched, isNew: boolean): void {
    if (folder.isForgotten) return;
    try {
      folder.watcher ??= this.#watcherOf(folder);
    } catch (error) {
      this.#tellIfLimited(error);
    }
    for (const entry of this.#entriesOf(folder)) {
      const path = inFolder(folder.path, entry.name);
      if (path === this.#left) continue;
      if (isNew) this.#hint(path);
      if (folder.isForgotten) return; // who was told has ended it
      if (entry.isDirectory()) this.#expect(folder, entry.name, isNew);
    }
  }

  /** The limit of the system, or no permission. Gone by now: then the folder above tells. */
  #tellIfLimited(error: unknown): void {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error)) || this.#isLimited) return;
    this.#isLimited = true;
    setImmediate(() => this.#hint(null)); // never before the one who is told has this watcher
  }

  #watcherOf(folder: Watched): FSWatcher {
    const watcher = watch(join(this.#root, folder.path), (type, name) => this.#onEvent(folder, type, name));
    watcher.on('error', () => {
      this.#release(folder);
      this.#hint(null);
    });
    this.#counts.watched += 1;
    return watcher;
  }

  #entriesOf(folder: Watched): Dirent[] {
    try {
      return readdirSync(join(this.#root, folder.path), { withFileTypes: true });
    } catch {
      return []; // gone, or not to be read
    }
  }

  #onEvent(folder: Watched, type: string, name: string | null): void {
    if (this.#closed) return;
    this.#countEvent();
    if (folder.path === '' && !this.#isRootInPlace(name)) return;
    const path = inFolder(folder.path, name ?? '');
    if (path === this.#left) return;
    this.#hint(name === null ? null : path);
    if (type === 'rename' && name !== null && !folder.isForgotten) this.#expect(folder, name, true);
  }

  /** What happens to a watched folder itself comes under its own name. */
  #isRootInPlace(name: string | null): boolean {
    if (name !== null && name !== basename(this.#root)) return true;
    if (statOf(this.#root)?.ino === this.#top?.ino) return true;
    this.#stop();
    this.#counts = { watched: 0, of: 1 };
    this.#hint(null);
    return false;
  }

  /** A name came, went, or means something else now. */
  #expect(parent: Watched, name: string, isNew: boolean): void {
    const path = inFolder(parent.path, name);
    const known = parent.folders.get(name);
    const stat = statOf(join(this.#root, path));
    const isFolder = stat?.isDirectory() ?? false;
    if (known !== undefined) {
      if (isFolder && stat?.ino === known.ino && known.watcher !== null) return;
      this.#forget(known);
      parent.folders.delete(name);
    }
    if (!isFolder || stat === null) return;
    const folder = this.#add(path, stat.ino);
    parent.folders.set(name, folder);
    this.#queue.push({ folder, isNew });
    this.#slice ??= setImmediate(() => this.#work());
  }

  #countEvent(): void {
    this.#burst += 1;
    this.#burstEnd ??= setImmediate(() => {
      const isOverflow = this.#burst >= this.#burstMax;
      this.#burst = 0;
      this.#burstEnd = null;
      if (isOverflow) this.#lookAgain();
    });
  }

  /** Folders may have come without being told. */
  #lookAgain(): void {
    this.#stop();
    this.#start();
    this.#hint(null);
  }

  #add(path: string, ino: number): Watched {
    this.#counts.of += 1;
    return { path, ino, folders: new Map(), watcher: null, isForgotten: false };
  }

  #release(folder: Watched): void {
    if (folder.watcher === null) return;
    folder.watcher.close();
    folder.watcher = null;
    this.#counts.watched -= 1;
  }

  #forget(folder: Watched): void {
    this.#release(folder);
    this.#counts.of -= 1;
    folder.isForgotten = true;
    for (const below of folder.folders.values()) this.#forget(below);
  }

  #stop(): void {
    this.#queue = [];
    this.#isLimited = false;
    if (this.#top !== null) this.#forget(this.#top);
    this.#top = null;
  }

  #hint(path: string | null): void {
    if (!this.#closed) this.#onHint(path);
  }
}

/** `null`: gone, or not to be seen. */
function statOf(path: string): Stats | null {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}

function burstMax(): number {
  try {
    return Math.min(BURST_EVENTS_MAX, Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8')) / 4);
  } catch {
    return BURST_EVENTS_MAX;
  }
}
