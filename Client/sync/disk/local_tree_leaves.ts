import { createHash } from 'node:crypto';
import type { Disk, DiskFile, DiskStat } from './disk.ts';
import { folderOf, inFolder, nameOf } from './disk_paths.ts';
import { codeOf, hasSameContent, isSameEntry, isSurprise, isUntouched, systemError } from './local_tree_states.ts';

/** Asked where the stat cannot tell whether a file is what it was: it changed so lately that another change may have the same time. */
export type IsUnchanged = (file: DiskFile) => boolean;

export type LeafOptions = {
  readonly now: () => number;
  readonly timeStepMs: number;
  /** @param digits tells this copy from others */
  readonly copyName: (name: string, digits: string) => string;
  /** A person's file could not go back to its place and has another name now. */
  readonly onKept: (path: string, copy: string) => void;
};

const NOT_LINKED = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL'];

/**
 * Takes files out of the tree and puts them into it so that nothing is lost, whoever else is writing: what is at a path is taken away as it
 * is, by one rename, and looked at then; a name is given by a link, which never replaces anything.
 */
export class Leaves {
  readonly #disk: Disk;
  readonly #options: LeafOptions;
  readonly #touched: (path: string) => void;
  #spent: string[] = [];

  /** @param touched told of each path whose name came or went */
  constructor(disk: Disk, options: LeafOptions, touched: (path: string) => void) {
    this.#disk = disk;
    this.#options = options;
    this.#touched = touched;
  }

  /**
   * Moves what is at `path` to `aside` if it is what is expected.
   * @returns its state there; `null` when it was something else: then it is back, or never went
   */
  take(path: string, expected: DiskStat, aside: string, isUnchanged: IsUnchanged | null): DiskStat | null {
    const found = this.#disk.stat(path);
    if (found === null || !isUntouched(found, expected) || !this.#rename(path, aside)) return null;
    try {
      const taken = this.#disk.stat(aside);
      if (taken !== null && hasSameContent(taken, expected) && this.#isStill(aside, expected, isUnchanged)) return taken;
    } catch (error) {
      this.putBack(aside, path);
      throw error;
    }
    this.putBack(aside, path);
    return null;
  }

  /** @returns false: nothing is there */
  #rename(path: string, aside: string): boolean {
    if (this.#disk.stat(aside) !== null) throw systemError('EEXIST', aside); // a number used twice
    if (!this.#renameIfThere(path, aside)) {
      if (this.#disk.stat(path) === null) return false;
      this.makeFolder(folderOf(aside));
      if (!this.#renameIfThere(path, aside)) return false;
    }
    this.#touched(path);
    this.#touched(aside);
    return true;
  }

  #renameIfThere(path: string, aside: string): boolean {
    try {
      this.#disk.rename(path, aside);
      return true;
    } catch (error) {
      if (!isSurprise(error)) throw error;
      return false;
    }
  }

  #isStill(aside: string, expected: DiskStat, isUnchanged: IsUnchanged | null): boolean {
    if (expected.kind !== 'file' || isUnchanged === null) return true;
    const ageMs = this.#options.now() - expected.mtimeMs;
    if (ageMs > 2 * this.#options.timeStepMs || ageMs < -2 * this.#options.timeStepMs) return true;
    const file = this.#disk.open(aside);
    try {
      return isUnchanged(file);
    } finally {
      file.close();
    }
  }

  /**
   * Gives a leaf another name, if that is free. The old one stays where links can be made.
   * @throws the system's error, EEXIST if it is not
   */
  give(from: string, to: string): void {
    try {
      this.#disk.link(from, to);
    } catch (error) {
      if (!NOT_LINKED.includes(codeOf(error))) throw error;
      this.#renameIfFree(from, to);
    }
    this.#touched(to);
  }

  /** Where links cannot be made, or not of this: who takes the name between the look and the rename is replaced. */
  #renameIfFree(from: string, to: string): void {
    if (this.#disk.stat(to) !== null) throw systemError('EEXIST', to);
    this.#disk.rename(from, to);
  }

  /** A name that is not needed any more, once the other one of the same file is durable. */
  spend(aside: string): void {
    this.#spent.push(aside);
  }

  /** Those that are not needed once all is durable that was done so far. */
  takeSpent(): string[] {
    const spent = this.#spent;
    this.#spent = [];
    return spent;
  }

  unlinkIfThere(path: string): void {
    try {
      this.#disk.unlink(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }

  /** To where it was; if that is taken by now, beside it under a name that tells. */
  putBack(aside: string, path: string): void {
    try {
      this.give(aside, path);
      this.spend(aside);
    } catch (error) {
      if (!isSurprise(error)) throw error;
      this.keep(aside, path);
    }
  }

  /** Under a name beside `path`, or in the next folder above that is still there. Done twice, it is there once. */
  keep(aside: string, path: string): void {
    const stat = this.#disk.stat(aside);
    if (stat === null) return;
    let folder = folderOf(path);
    for (let count = 0; ; ) {
      const copy = inFolder(folder, this.#options.copyName(nameOf(path), marksOf(stat, count)));
      try {
        this.give(aside, copy);
        this.spend(aside);
        this.#options.onKept(path, copy);
        return;
      } catch (error) {
        if (!isSurprise(error)) throw error;
        const there = this.#disk.stat(copy);
        if (isSameEntry(there, stat)) {
          this.spend(aside);
          return;
        }
        if (there !== null) count += 1;
        else if (folder === '') throw error;
        else folder = folderOf(folder);
      }
    }
  }

  /** A private folder, with those above it; durable at once, because what a person had is going to be in it. */
  makeFolder(folder: string): void {
    if (folder === '') return;
    this.makeFolder(folderOf(folder));
    try {
      this.#disk.mkdir(folder, 0o700);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    this.#disk.syncFolder(folderOf(folder));
  }
}

function marksOf(stat: DiskStat, count: number): string {
  return createHash('sha256').update(`${stat.ino} ${stat.size} ${stat.mtimeMs} ${count}`).digest('hex').slice(0, 6);
}
