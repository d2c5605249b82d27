import { closeSync, constants, lstatSync, openSync, readlinkSync } from 'node:fs';
import { systemError } from './local_tree_states.ts';

const HANDLES_KEPT = 64;
const TRUST_MS = 10; // a folder that was in its place so lately counts as still there: what is done in it now was done before it was moved

/** How a folder inside the root is reached without following a symlink on the way. */
export type FolderPaths = {
  /**
   * A path that names can be appended to, good until the next `begin`: whatever is swapped on the way meanwhile, it is the folder that was there.
   * @throws the system's error: ENOENT, ENOTDIR for anything else than a folder on the way, ESTALE if the root is not where it was
   */
  reach(folder: string): string;
  /**
   * The same for looking at something by its name, and nothing more: the plain path, at half the cost, of a folder that was in place a
   * moment ago. Who swaps it right then has something outside looked at; it cannot be read or changed, because that goes by `reach`.
   */
  look(folder: string): string;
  /** Before each operation: handles that were not used lately are closed. */
  begin(): void;
  /** A folder may be another one from now on. */
  moved(): void;
  close(): void;
};

/** @param root absolute, without symlinks */
export function openFolderPaths(root: string): FolderPaths {
  return openByHandles(root) ?? openCheckedPaths(root);
}

type Handle = { readonly fd: number; readonly place: string; checkedMs: number };

/**
 * Linux: each folder is opened from the handle of its parent with O_NOFOLLOW, and used through /proc/self/fd. A handle that is kept says
 * itself where its folder is now, so one question tells whether it, and everything above it, is still in place.
 */
class HandlePaths implements FolderPaths {
  readonly #root: string;
  readonly #handles = new Map<string, Handle>(); // the one used last is the last
  #stale: number[] = []; // a path just given may begin with one of these: its number must not be another folder's yet
  #movedMs = 0;

  constructor(root: string, fd: number) {
    this.#root = root;
    this.#handles.set('', { fd, place: root, checkedMs: 0 });
  }

  reach(folder: string): string {
    return `/proc/self/fd/${this.#handle(folder).fd}`;
  }

  look(folder: string): string {
    return this.#handle(folder).place;
  }

  moved(): void {
    this.#movedMs = performance.now();
  }

  #handle(folder: string): Handle {
    const kept = this.#handles.get(folder);
    if (kept !== undefined) {
      if (kept.checkedMs > this.#movedMs && performance.now() - kept.checkedMs < TRUST_MS) return kept;
      if (folder !== '') {
        this.#handles.delete(folder);
        this.#handles.set(folder, kept);
      }
      if (isInPlace(kept)) return kept;
      if (folder === '') throw systemError('ESTALE', this.#root);
      this.#handles.delete(folder);
      this.#stale.push(kept.fd);
    }
    const { parent: above, name } = splitPath(folder);
    const parent = this.#handle(above);
    const fd = openSync(`/proc/self/fd/${parent.fd}/${name}`, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const handle = { fd, place: placeOf(this.#root, folder), checkedMs: 0 };
    this.#handles.set(folder, handle);
    return handle;
  }

  begin(): void {
    if (this.#stale.length > 0) this.#closeStale();
    if (this.#handles.size <= HANDLES_KEPT) return;
    for (const [folder, handle] of this.#handles) {
      if (this.#handles.size <= HANDLES_KEPT) break;
      if (folder === '') continue;
      this.#handles.delete(folder);
      closeSync(handle.fd);
    }
  }

  #closeStale(): void {
    for (const fd of this.#stale) closeSync(fd);
    this.#stale = [];
  }

  close(): void {
    this.#closeStale();
    for (const handle of this.#handles.values()) closeSync(handle.fd);
    this.#handles.clear();
  }
}

class CheckedPaths implements FolderPaths {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  reach(folder: string): string {
    const path = placeOf(this.#root, folder);
    if (folder === '') return path;
    this.reach(splitPath(folder).parent);
    if (!lstatSync(path).isDirectory()) throw systemError('ENOTDIR', path);
    return path;
  }

  look(folder: string): string {
    return this.reach(folder);
  }

  begin(): void {
    // nothing is kept
  }

  moved(): void {
    // nothing is kept
  }

  close(): void {
    // nothing is kept
  }
}

/** Where there are no such handles: each component is looked at. Somebody who swaps one right after that is not noticed. */
export function openCheckedPaths(root: string): FolderPaths {
  return new CheckedPaths(root);
}

function openByHandles(root: string): FolderPaths | null {
  if (process.platform !== 'linux') return null;
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (readlinkSync(`/proc/self/fd/${fd}`) === root) return new HandlePaths(root, fd);
  } catch (error) {
    closeSync(fd);
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null; // no /proc here
    throw error;
  }
  closeSync(fd);
  return null;
}

function isInPlace(handle: Handle): boolean {
  const nowMs = performance.now();
  if (readlinkSync(`/proc/self/fd/${handle.fd}`) !== handle.place) return false;
  handle.checkedMs = nowMs;
  return true;
}

function placeOf(root: string, folder: string): string {
  if (folder === '') return root;
  return root === '/' ? `/${folder}` : `${root}/${folder}`;
}

/** The folder and the name in it, which may still be missing. @throws EINVAL for what would lead elsewhere */
export function splitPath(path: string): { parent: string; name: string } {
  const cut = path.lastIndexOf('/');
  const name = path.slice(cut + 1);
  if (cut === 0 || name === '' || name === '.' || name === '..') throw systemError('EINVAL', path);
  return { parent: cut === -1 ? '' : path.slice(0, cut), name };
}
