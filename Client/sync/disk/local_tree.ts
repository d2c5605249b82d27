import assert from 'node:assert/strict';
import { localIo } from '../../transfer/local_files.ts';
import type { Disk, DiskFile, DiskStat } from './disk.ts';
import { folderOf, inFolder, nameOf } from './disk_paths.ts';
import { type IsUnchanged, type LeafOptions, Leaves } from './local_tree_leaves.ts';
import { unlocked } from './local_tree_locks.ts';
import { Staging } from './local_tree_staging.ts';
import { closeGivenUp, codeOf, hasSameContent, isOfDisk, isSameEntry, isSurprise, isUntouched } from './local_tree_states.ts';

/** Folder inside the synced one for what the engine itself needs there, on the same file system. Never synced, never shown. */
export const PRIVATE_FOLDER = '.driftless';
const PRIVATE_MODE = 0o700;
const STAGED = `${PRIVATE_FOLDER}/tmp`;
const TRASH = `${PRIVATE_FOLDER}/trash`;

/** So often a long file is made durable while it is written: little is left of it when it is sealed. */
export const SYNC_BYTES = 64 << 20;
const FOLDERS_SYNCED_ALONE = 3; // more cost more than one sync of everything
const TRASH_NAME_BYTES = 200; // of a name, which may have 255 with the number before it
const DAY_MS = 86_400_000;

/** What the index makes of it once it is done: for whoever records it, also after an interruption. */
export type IntentTarget = {
  readonly node: number;
  readonly parent: number;
  readonly name: string;
  /** The local file is another node from then on. */
  readonly copy?: number;
};
export type PlaceIntent = {
  readonly of?: IntentTarget;
  readonly kind: 'place';
  readonly id: number;
  readonly path: string;
  readonly expected: DiskStat | null;
  readonly aside: string;
};
export type RemoveIntent = {
  readonly kind: 'remove';
  readonly id: number;
  readonly path: string;
  readonly expected: DiskStat;
  readonly aside: string;
};
export type MoveIntent = {
  readonly of?: IntentTarget;
  readonly kind: 'move';
  readonly id: number;
  readonly path: string;
  readonly to: string;
  readonly expected: DiskStat;
  readonly aside: string;
};

/**
 * Recorded durably before the change is made, forgotten once what was reached is recorded: what an interruption leaves is put right from it.
 * `id` is unique in this folder's life, `aside` is `asidePath` of it, `expected` the state that the decision was based on; `null`: nothing is there.
 */
export type Intent = PlaceIntent | RemoveIntent | MoveIntent;

/**
 * `stat`: of what is there now, as it was placed; `null` for nothing; final once `settle` has returned. `changed`: a person was faster.
 * Nothing of theirs was touched; look again, and take the stat found then: it may be a change of the mode alone.
 */
export type Achieved = { readonly status: 'done'; readonly stat: DiskStat | null } | { readonly status: 'changed' };

export type Attributes = { readonly mode: number; readonly mtimeUs: number };

/**
 * The only place that changes synced files. Each change is made in an order that loses nothing, whoever else is writing and whenever it is
 * interrupted. What was there before goes to the trash inside the private folder, never away.
 *
 * The order for a batch: `stage`, `finish` each; `seal` once; record the intents; `place` each; `settle` once; record what was achieved and
 * forget the intents, those of what was `changed` too. After a throw the intent stays: `recover` with it before the path is touched again.
 * All throw AppError `local_io` with the system's error as `cause`.
 */
export type LocalTree = {
  /** A file to write new content into. End it by `finish`, or close it and `discard`. @param mode what it is going to have, where that is known */
  stage(id: number, mode?: number): DiskFile;
  /** Its content is whole. Closes it. */
  finish(id: number, file: DiskFile, attributes: Attributes): void;
  /** What is staged under one id goes on under another, that has nothing yet; it may be open. */
  restage(from: number, to: number): void;
  stageSymlink(id: number, target: string, mtimeUs: number): void;
  discard(id: number): void;
  /** All that is finished is durable, and can be placed. */
  seal(): Promise<void>;
  /** Gives what is staged under this id its name. On `changed` it is discarded. @param isUnchanged without it the stat alone decides */
  place(intent: PlaceIntent, isUnchanged?: IsUnchanged): Achieved;
  /** A file or symlink, to the trash. */
  remove(intent: RemoveIntent, isUnchanged?: IsUnchanged): Achieved;
  /** A file, symlink or whole folder. `changed` when the target is taken, or the source is not what is expected. */
  move(intent: MoveIntent): Achieved;
  makeFolder(path: string, mode: number): Achieved;
  /** Only an empty one: `changed` otherwise. */
  removeFolder(path: string): Achieved;
  setAttributes(path: string, expected: DiskStat, attributes: Attributes): Achieved;
  /** All that was placed, moved and removed since the last call is durable: only then may it be recorded. */
  settle(): Promise<void>;
  /** What an interruption left: finished or taken back, and durable. Afterwards every path holds something whole; look at all of them again. */
  recover(intents: readonly Intent[]): Promise<void>;
  /** Everything staged is given up, and nobody else sees what will be. Once, before the first `stage`. */
  clearStaged(): void;
  /** Trash older than this is given up. */
  emptyTrash(olderThanMs: number, nowMs: number): void;
};

/** Where what was at `path` goes. */
export function asidePath(id: number, path: string, nowMs: number): string {
  let name = nameOf(path);
  while (Buffer.byteLength(name) > TRASH_NAME_BYTES) name = [...name].slice(1).join(''); // its end tells the type
  return `${TRASH}/${new Date(nowMs).toISOString().slice(0, 10)}/${id}-${name}`;
}

/** Closes and discards, whatever the disk says: what stays is cleared away with everything that is staged, when the engine begins anew. */
export function giveUp(tree: Pick<LocalTree, 'discard'>, id: number, file: DiskFile | null): void {
  closeGivenUp(file);
  try {
    tree.discard(id);
  } catch (error) {
    if (!isOfDisk(error)) throw error;
  }
}

export function openLocalTree(disk: Disk, options: LeafOptions): LocalTree {
  return new DiskTree(disk, options);
}

type Moved = { readonly path: string; readonly achieved: { readonly status: 'done'; stat: DiskStat } };
type Trashed = { readonly aside: string; readonly path: string; readonly stat: DiskStat };

class DiskTree implements LocalTree {
  readonly #disk: Disk;
  readonly #options: LeafOptions;
  readonly #leaves: Leaves;
  readonly #staging: Staging;
  #touched = new Set<string>(); // folders in which names came or went since the last `settle`
  #touchedInside = false; // a file's own attributes are not its folder's
  readonly #writable = new Set<string>(); // folders found so since the last `settle`
  #trashed: Trashed[] = [];
  #moved: Moved[] = [];

  constructor(disk: Disk, options: LeafOptions) {
    this.#disk = disk;
    this.#options = options;
    this.#leaves = new Leaves(disk, options, (path) => this.#touch(path));
    this.#staging = new Staging(disk, STAGED, () => this.#leaves.makeFolder(STAGED));
  }

  stage(id: number, mode?: number): DiskFile {
    return localIo(this.#staging.pathOf(id), () => this.#staging.create(id, mode));
  }

  finish(id: number, file: DiskFile, attributes: Attributes): void {
    localIo(this.#staging.pathOf(id), () => this.#staging.finish(id, file, attributes));
  }

  restage(from: number, to: number): void {
    localIo(this.#staging.pathOf(from), () => this.#staging.rename(from, to));
  }

  stageSymlink(id: number, target: string, mtimeUs: number): void {
    localIo(this.#staging.pathOf(id), () => this.#staging.symlink(id, target, mtimeUs));
  }

  discard(id: number): void {
    localIo(this.#staging.pathOf(id), () => this.#staging.discard(id));
  }

  async seal(): Promise<void> {
    await localIoLater(STAGED, () => this.#staging.seal());
  }

  place(intent: PlaceIntent, isUnchanged?: IsUnchanged): Achieved {
    const staged = this.#staging.mustBeDurable(intent.id);
    assert(intent.expected?.kind !== 'folder');
    return localIo(intent.path, () => {
      const achieved = unlocked(
        this.#disk,
        [folderOf(intent.path)],
        () => this.#place(intent, staged, isUnchanged ?? null),
        this.#writable,
      );
      if (achieved.status === 'changed') this.#staging.discard(intent.id);
      return achieved;
    });
  }

  #place({ id, path, expected, aside }: PlaceIntent, placed: DiskStat, isUnchanged: IsUnchanged | null): Achieved {
    const staged = this.#staging.pathOf(id);
    const taken = expected === null ? null : this.#leaves.take(path, expected, aside, isUnchanged);
    if (expected !== null && taken === null) return { status: 'changed' };
    try {
      this.#leaves.give(staged, path);
    } catch (error) {
      if (taken !== null && this.#disk.stat(path) === null) this.#leaves.putBack(aside, path);
      if (isSurprise(error)) return { status: 'changed' };
      throw error;
    }
    if (taken !== null) this.#trashed.push({ aside, path, stat: taken });
    this.#staging.discard(id);
    return { status: 'done', stat: this.#confirmed(path, placed) };
  }

  remove({ path, expected, aside }: RemoveIntent, isUnchanged?: IsUnchanged): Achieved {
    assert(expected.kind !== 'folder');
    return localIo(path, () => {
      const taken = unlocked(this.#disk, [folderOf(path)], () => this.#leaves.take(path, expected, aside, isUnchanged ?? null));
      if (taken === null) return { status: 'changed' };
      this.#trashed.push({ aside, path, stat: taken });
      return { status: 'done', stat: null };
    });
  }

  move(intent: MoveIntent): Achieved {
    const { path, to, expected } = intent;
    return localIo(path, () =>
      unlocked(this.#disk, [folderOf(path), folderOf(to)], () =>
        expected.kind === 'folder' ? this.#moveFolder(intent) : this.#moveLeaf(intent),
      ),
    );
  }

  #moveLeaf({ path, to, expected, aside }: MoveIntent): Achieved {
    const there = this.#disk.stat(to);
    if (there !== null && !isSameEntry(there, this.#disk.stat(path))) return { status: 'changed' };
    const taken = this.#leaves.take(path, expected, aside, null);
    if (taken === null) return { status: 'changed' };
    try {
      this.#leaves.give(aside, to);
    } catch (error) {
      this.#leaves.putBack(aside, path);
      if (isSurprise(error)) return { status: 'changed' };
      throw error;
    }
    this.#leaves.spend(aside);
    const achieved = { status: 'done' as const, stat: taken };
    this.#moved.push({ path: to, achieved });
    return achieved;
  }

  #moveFolder({ path, to, expected }: MoveIntent): Achieved {
    const found = this.#disk.stat(path);
    if (found === null || !isUntouched(found, expected)) return { status: 'changed' };
    const there = this.#disk.stat(to);
    if (there !== null && !isSameEntry(there, found)) return { status: 'changed' }; // the same one: only its spelling changes
    return this.#unlessSurprised(() => {
      unlocked(this.#disk, folderOf(path) === folderOf(to) ? [] : [path], () => this.#disk.rename(path, to)); // its `..` changes with it
      this.#touch(path);
      this.#touch(to);
      const moved = this.#disk.stat(to);
      if (moved !== null && moved.mode !== found.mode) this.#disk.setMode(to, found.mode);
      return this.#disk.stat(to);
    });
  }

  makeFolder(path: string, mode: number): Achieved {
    return localIo(path, () =>
      this.#unlessSurprised(() => {
        unlocked(this.#disk, [folderOf(path)], () => this.#disk.mkdir(path, mode));
        this.#touch(path);
        if (this.#disk.stat(path)?.mode !== mode) this.#disk.setMode(path, mode);
        return this.#disk.stat(path);
      }),
    );
  }

  removeFolder(path: string): Achieved {
    return localIo(path, () =>
      this.#unlessSurprised(() => {
        unlocked(this.#disk, [folderOf(path)], () => this.#disk.rmdir(path));
        this.#touch(path);
        return null;
      }),
    );
  }

  setAttributes(path: string, expected: DiskStat, attributes: Attributes): Achieved {
    return localIo(path, () => {
      const found = this.#disk.stat(path);
      if (found === null || !isUntouched(found, expected)) return { status: 'changed' };
      return this.#unlessSurprised(() => {
        if (found.kind === 'folder') this.#touched.add(path);
        else this.#touchedInside = true;
        if (found.kind !== 'symlink' && found.mode !== attributes.mode) this.#disk.setMode(path, attributes.mode);
        const between = this.#disk.stat(path);
        if (between === null || (found.kind !== 'folder' && !hasSameContent(between, found))) return 'changed';
        const startMs = this.#options.now();
        this.#disk.setTimes(path, attributes.mtimeUs);
        const after = this.#disk.stat(path);
        return after !== null && this.#isAsSet(after, found, attributes.mtimeUs, startMs) ? after : 'changed';
      });
    });
  }

  /** What is written after the time was set has a time of now. */
  #isAsSet(after: DiskStat, before: DiskStat, mtimeUs: number, startMs: number): boolean {
    if (after.ino !== before.ino || after.kind !== before.kind) return false;
    if (before.kind === 'folder') return true;
    if (after.size !== before.size) return false;
    const stepMs = this.#options.timeStepMs;
    return Math.abs(after.mtimeMs - mtimeUs / 1000) <= stepMs || after.mtimeMs < startMs - stepMs;
  }

  async settle(): Promise<void> {
    this.#writable.clear();
    await localIoLater('', async () => {
      this.#keepLateWrites();
      const [moved, spent] = [this.#moved, this.#leaves.takeSpent()];
      this.#moved = [];
      await this.#sync();
      for (const aside of spent) this.#leaves.unlinkIfThere(aside);
      for (const { path, achieved } of moved) achieved.stat = this.#confirmed(path, achieved.stat);
    });
  }

  /** Who had the file open went on writing into what is in the trash by now: that is newer than anything it was replaced by. */
  #keepLateWrites(): void {
    const trashed = this.#trashed;
    this.#trashed = [];
    for (const { aside, path, stat } of trashed) {
      const now = this.#disk.stat(aside);
      if (now !== null && !hasSameContent(now, stat)) unlocked(this.#disk, [folderOf(path)], () => this.#leaves.keep(aside, path));
    }
  }

  async #sync(): Promise<void> {
    const [touched, touchedInside] = [this.#touched, this.#touchedInside];
    this.#touched = new Set();
    this.#touchedInside = false;
    try {
      if (touchedInside || touched.size > FOLDERS_SYNCED_ALONE) await this.#disk.syncAll();
      else for (const folder of touched) this.#syncFolder(folder);
    } catch (error) {
      this.#touchedInside = true; // everything, the next time
      throw error;
    }
  }

  #syncFolder(folder: string): void {
    try {
      this.#disk.syncFolder(folder);
    } catch (error) {
      if (!isSurprise(error)) throw error; // gone since: that is in the folder above, which is another one of these
    }
  }

  async recover(intents: readonly Intent[]): Promise<void> {
    for (const intent of intents) {
      localIo(intent.path, () => {
        const folders = intent.kind === 'move' ? [folderOf(intent.path), folderOf(intent.to)] : [folderOf(intent.path)];
        unlocked(this.#disk, folders, () => this.#recover(intent));
        if (intent.kind === 'place') this.#staging.discard(intent.id);
      });
    }
    if (intents.length === 0) return;
    await this.settle();
  }

  #recover(intent: Intent): void {
    const { path, aside, expected } = intent;
    const taken = this.#disk.stat(aside);
    if (taken === null) return; // not begun, or done
    const there = this.#disk.stat(path);
    if (intent.kind === 'move' && isSameEntry(this.#disk.stat(intent.to), taken)) this.#leaves.spend(aside);
    else if (isSameEntry(there, taken)) this.#leaves.spend(aside);
    else if (there === null) this.#leaves.putBack(aside, path);
    else if (intent.kind === 'move' || expected === null || !hasSameContent(taken, expected)) this.#leaves.keep(aside, path);
  }

  clearStaged(): void {
    localIo(STAGED, () => {
      this.#narrow();
      this.#removeAll(STAGED);
    });
  }

  /** The folder may have come from elsewhere, with a mode that lets others see what is staged and what was deleted. */
  #narrow(): void {
    const stat = this.#disk.stat(PRIVATE_FOLDER);
    if (stat === null || stat.kind !== 'folder' || stat.mode === PRIVATE_MODE) return;
    try {
      this.#disk.setMode(PRIVATE_FOLDER, PRIVATE_MODE);
    } catch (error) {
      if (codeOf(error) === '') throw error; // a disk that keeps no modes, or a folder that is not ours
    }
  }

  emptyTrash(olderThanMs: number, nowMs: number): void {
    localIo(TRASH, () => {
      if (this.#disk.stat(TRASH) === null) return;
      for (const day of this.#disk.list(TRASH).names) {
        if (Date.parse(day) + DAY_MS < nowMs - olderThanMs) this.#removeAll(inFolder(TRASH, day));
      }
    });
  }

  /** Inside the private folder only. */
  #removeAll(path: string): void {
    const stat = this.#disk.stat(path);
    if (stat === null) return;
    if (stat.kind !== 'folder') {
      this.#disk.unlink(path);
      return;
    }
    const { names, undecodable } = this.#disk.list(path);
    for (const name of names) this.#removeAll(inFolder(path, name));
    if (undecodable.length === 0) this.#disk.rmdir(path);
  }

  /** Giving it its name changed the time of change; anything else is somebody's, and has to look changed to who compares with this. */
  #confirmed(path: string, placed: DiskStat): DiskStat {
    const there = this.#disk.stat(path);
    return there !== null && hasSameContent(there, placed) ? there : placed;
  }

  #unlessSurprised(work: () => DiskStat | null | 'changed'): Achieved {
    try {
      const stat = work();
      return stat === 'changed' ? { status: 'changed' } : { status: 'done', stat };
    } catch (error) {
      if (!isSurprise(error)) throw error;
      return { status: 'changed' };
    }
  }

  #touch(path: string): void {
    this.#touched.add(folderOf(path));
  }
}

async function localIoLater(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    localIo(path, () => {
      throw error;
    });
  }
}
