import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { PART_NAME } from './local_files.ts';

const ABANDONED_MS = 60_000;

/**
 * A folder, inside the one that a get fills, where small files are written before they take their names. File systems give the files of
 * one folder places side by side: made there and moved, many files in many folders cost a third of what they cost made in place.
 */
export class Staging {
  readonly #root: string;
  #folder: string | null = null;
  #count = 0;

  constructor(root: string) {
    this.#root = root;
  }

  /** A path that nothing has. @throws the system's error */
  next(): string {
    this.#folder ??= makeFolder(this.#root);
    this.#count += 1;
    return join(this.#folder, String(this.#count));
  }

  /** Nothing of it is left. */
  close(): void {
    if (this.#folder !== null) removeFolder(this.#folder);
    this.#folder = null;
  }
}

/** Its name begins with the process, so that what a killed one left can be told from what another one uses now. */
function makeFolder(root: string): string {
  const owner = process.pid.toString(16).padStart(8, '0');
  const folder = join(root, `.driftless-${owner}${randomBytes(4).toString('hex')}.part`);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** Removes what gets that were killed left in this folder. */
export function removeAbandoned(root: string): void {
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (!entry.isDirectory() || !PART_NAME.test(entry.name)) continue;
    const folder = join(root, entry.name);
    const idleMs = Date.now() - lstatSync(folder).mtimeMs;
    if (idleMs > ABANDONED_MS && !isRunning(Number.parseInt(entry.name.slice(11, 19), 16))) removeFolder(folder);
  }
}

function removeFolder(folder: string): void {
  for (const name of readdirSync(folder)) unlinkSync(join(folder, name));
  rmdirSync(folder);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
