import assert from 'node:assert/strict';
import type { Disk, DiskFile, DiskStat } from './disk.ts';
import { inFolder } from './disk_paths.ts';
import { codeOf } from './local_tree_states.ts';

const SYNCED_ALONE = 2; // files; more cost more than one sync of everything

/** New content, before it gets its name: written, then durable, and only then placed. */
export class Staging {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #makeFolder: () => void;
  #finished = new Map<number, DiskStat>();
  readonly #open = new Map<number, DiskFile>(); // finished, not durable yet: a few stay open for it
  readonly #durable = new Map<number, DiskStat>();

  constructor(disk: Disk, folder: string, makeFolder: () => void) {
    this.#disk = disk;
    this.#folder = folder;
    this.#makeFolder = makeFolder;
  }

  pathOf(id: number): string {
    return inFolder(this.#folder, String(id));
  }

  /** @param mode the one it is going to have, where that is known: nobody else can see into the folder */
  create(id: number, mode = 0o600): DiskFile {
    return this.#inFolder(() => this.#disk.create(this.pathOf(id), mode & 0o777));
  }

  /** What was staged under one id goes on under another. */
  rename(from: number, to: number): void {
    this.#disk.rename(this.pathOf(from), this.pathOf(to));
  }

  symlink(id: number, target: string, mtimeUs: number): void {
    this.#inFolder(() => this.#disk.symlink(target, this.pathOf(id)));
    this.#disk.setTimes(this.pathOf(id), mtimeUs);
    const stat = this.#disk.stat(this.pathOf(id));
    if (stat !== null) this.#durable.set(id, stat); // with its name: there is nothing else of it
  }

  finish(id: number, file: DiskFile, attributes: { mode: number; mtimeUs: number }): void {
    let kept = false;
    try {
      file.setTimes(attributes.mtimeUs);
      const stat = file.stat();
      if (stat.mode !== attributes.mode) file.setMode(attributes.mode);
      this.#finished.set(id, { ...stat, mode: attributes.mode });
      kept = this.#finished.size <= SYNCED_ALONE;
      if (kept) this.#open.set(id, file);
    } finally {
      if (!kept) file.close();
    }
    if (this.#finished.size > SYNCED_ALONE) this.#closeAll();
  }

  async seal(): Promise<void> {
    const finished = this.#finished;
    if (finished.size === 0) return;
    this.#finished = new Map();
    if (finished.keys().every((id) => this.#open.has(id))) this.#syncOpen();
    else {
      this.#closeAll();
      await this.#disk.syncAll();
    }
    for (const [id, stat] of finished) this.#durable.set(id, stat);
  }

  /** @returns its state */
  mustBeDurable(id: number): DiskStat {
    const stat = this.#durable.get(id);
    assert(stat !== undefined, 'content is made durable before it gets its name');
    return stat;
  }

  discard(id: number): void {
    this.#durable.delete(id);
    this.#finished.delete(id);
    unlinkIfThere(this.#disk, this.pathOf(id));
  }

  #syncOpen(): void {
    try {
      for (const file of this.#open.values()) file.sync();
    } finally {
      this.#closeAll();
    }
  }

  /** Every one of them, also when one fails. */
  #closeAll(): void {
    const [next] = this.#open;
    if (next === undefined) return;
    const [id, file] = next;
    this.#open.delete(id);
    try {
      file.close();
    } finally {
      this.#closeAll();
    }
  }

  #inFolder<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      this.#makeFolder();
      return make();
    }
  }
}

function unlinkIfThere(disk: Disk, path: string): void {
  try {
    disk.unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
