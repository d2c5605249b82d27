import assert from 'node:assert/strict';
import type { Disk, DiskFile } from './disk.ts';
import { inFolder } from './disk_paths.ts';
import { codeOf } from './local_tree_states.ts';

const SYNCED_ALONE = 2; // files; more cost more than one sync of everything

/** New content, before it gets its name: written, then durable, and only then placed. */
export class Staging {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #makeFolder: () => void;
  #finished = new Set<number>();
  #open: DiskFile[] = []; // finished, not durable yet: a few stay open for it
  readonly #durable = new Set<number>();

  constructor(disk: Disk, folder: string, makeFolder: () => void) {
    this.#disk = disk;
    this.#folder = folder;
    this.#makeFolder = makeFolder;
  }

  pathOf(id: number): string {
    return inFolder(this.#folder, String(id));
  }

  create(id: number): DiskFile {
    return this.#inFolder(() => this.#disk.create(this.pathOf(id), 0o600));
  }

  symlink(id: number, target: string, mtimeUs: number): void {
    this.#inFolder(() => this.#disk.symlink(target, this.pathOf(id)));
    this.#disk.setTimes(this.pathOf(id), mtimeUs);
    this.#durable.add(id); // with its name: there is nothing else of it
  }

  finish(id: number, file: DiskFile, attributes: { mode: number; mtimeUs: number }): void {
    let kept = false;
    try {
      file.setMode(attributes.mode);
      file.setTimes(attributes.mtimeUs);
      this.#finished.add(id);
      kept = this.#finished.size <= SYNCED_ALONE;
      if (kept) this.#open.push(file);
    } finally {
      if (!kept) file.close();
    }
    if (this.#finished.size > SYNCED_ALONE) this.#closeAll();
  }

  async seal(): Promise<void> {
    const finished = this.#finished;
    if (finished.size === 0) return;
    this.#finished = new Set();
    if (finished.size === this.#open.length) this.#syncOpen();
    else {
      this.#closeAll();
      await this.#disk.syncAll();
    }
    for (const id of finished) this.#durable.add(id);
  }

  mustBeDurable(id: number): void {
    assert(this.#durable.has(id), 'content is made durable before it gets its name');
  }

  discard(id: number): void {
    this.#durable.delete(id);
    this.#finished.delete(id);
    unlinkIfThere(this.#disk, this.pathOf(id));
  }

  #syncOpen(): void {
    try {
      for (const file of this.#open) file.sync();
    } finally {
      this.#closeAll();
    }
  }

  /** Every one of them, also when one fails. */
  #closeAll(): void {
    const file = this.#open.pop();
    if (file === undefined) return;
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
