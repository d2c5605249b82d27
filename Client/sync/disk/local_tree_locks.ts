import type { Disk } from './disk.ts';
import { codeOf, isSurprise } from './local_tree_states.ts';

const WRITABLE = 0o300; // by its owner

/**
 * Lets names be changed in folders whose owner took that permission from them, as package managers do: their mode is carried like any
 * other, so what happened in one of them elsewhere has to happen here too. Where it is not ours to give, the work fails as it would.
 * @param writable folders that were found to need nothing lately, of which that is believed; grows
 */
export function unlocked<T>(disk: Disk, folders: readonly string[], work: () => T, writable?: Set<string>): T {
  const opened: { folder: string; mode: number }[] = [];
  try {
    for (const folder of new Set(folders)) {
      if (writable?.has(folder) === true) continue;
      const mode = unlock(disk, folder);
      if (mode !== null) opened.push({ folder, mode });
      else writable?.add(folder);
    }
    return work();
  } finally {
    for (const { folder, mode } of opened) setModeIfThere(disk, folder, mode);
  }
}

/** @returns the mode that it had, `null` if nothing was to be done */
function unlock(disk: Disk, folder: string): number | null {
  const stat = disk.stat(folder);
  if (stat === null || stat.kind !== 'folder' || (stat.mode & WRITABLE) === WRITABLE) return null;
  try {
    disk.setMode(folder, stat.mode | WRITABLE);
    return stat.mode;
  } catch (error) {
    if (!isSurprise(error) && codeOf(error) !== 'EPERM') throw error;
    return null;
  }
}

/** Moved or removed by the work itself: then there is nothing to do here. */
function setModeIfThere(disk: Disk, folder: string, mode: number): void {
  try {
    disk.setMode(folder, mode);
  } catch (error) {
    if (!isSurprise(error)) throw error;
  }
}
