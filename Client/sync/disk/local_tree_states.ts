import { AppError } from '../../../Models/errors.ts';
import type { DiskFile, DiskStat } from './disk.ts';

/** Nothing at all happened to it: also no change of mode or name. The device is left out: some have another number after each start. */
export function isUntouched(found: DiskStat, expected: DiskStat): boolean {
  if (found.kind !== expected.kind || found.ino !== expected.ino) return false;
  if (found.kind === 'folder') return true; // its times are those of what is in it
  return hasSameContent(found, expected) && found.ctimeMs === expected.ctimeMs && found.mode === expected.mode;
}

/** As far as can be told once a new name or a new time has changed its time of change. */
export function hasSameContent(found: DiskStat, expected: DiskStat): boolean {
  return found.kind === expected.kind && found.ino === expected.ino && found.size === expected.size && found.mtimeMs === expected.mtimeMs;
}

export function isSameEntry(a: DiskStat | null, b: DiskStat | null): boolean {
  return a !== null && b !== null && a.ino === b.ino && a.dev === b.dev && a.kind === b.kind;
}

/** The system's code of a failure, '' for any other. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

export function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code, path });
}

/** The tree is not as it was a moment ago: what is looked for is gone, what was free is taken, a folder on the way is none any more. */
export function isSurprise(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST', 'ENOTEMPTY', 'EISDIR'].includes(codeOf(error));
}

/** Of this library's, or the system's own. */
export function isOfDisk(error: unknown): boolean {
  return error instanceof AppError ? error.code === 'local_io' : codeOf(error) !== '';
}

/** Of what is given up: nobody minds what goes wrong then, as when closing makes it durable, on a full disk. */
export function closeGivenUp(file: DiskFile | null): void {
  try {
    file?.close();
  } catch (error) {
    if (!isOfDisk(error)) throw error;
  }
}
