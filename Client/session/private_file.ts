import { closeSync, constants, openSync } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter } from 'lowdb';

/** Small files of this client in its profile folder, for their owner only (0600): durable when written, never half-written. */

const LOCK_PATIENCE_MS = 10_000;
const LOCK_RETRY_MS = 15;

/** Only for the holder of a lock, so one name for the temporary file is enough, and a killed writer's is not left for ever. */
async function writePrivately(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * For lowdb, whose own file adapter does not sync, and gives the file to everyone.
 * @param parse throws what is to be said of a file that is damaged
 */
export function privateFile<T>(path: string, parse: (text: string) => T): Adapter<T> {
  return {
    async read() {
      try {
        return parse(await readFile(path, 'utf8'));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    write: (data) => writePrivately(path, `${JSON.stringify(data, null, 2)}\n`),
  };
}

/** For its owner only. One that is there is not opened: closing it would let go a lock that this process holds. */
function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * SQLite's lock on a small file, which the operating system lets go when the process ends, however it ends.
 * @returns `null` while another process, or this one, holds it. @throws the system's error where no file can be made
 */
export async function tryLock(path: string): Promise<Disposable | null> {
  const { DatabaseSync } = await import('node:sqlite');
  makeLockFile(path);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/i.test(error.message)) return null;
    throw error;
  }
  return {
    [Symbol.dispose]() {
      database.close();
    },
  };
}

/** As `tryLock`, once it is free. @throws Error after 10 s */
export async function waitForLock(path: string): Promise<Disposable> {
  const until = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    const held = await tryLock(path);
    if (held !== null) return held;
    if (performance.now() > until) throw new Error(`${path} stays locked`);
    await sleep(LOCK_RETRY_MS * (0.5 + Math.random()));
  }
}
