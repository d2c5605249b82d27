import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AppError } from '../Models/errors.ts';

/** For its owner only. One that is there is not opened: closing it would let go a lock that this process holds. */
function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * One process per data folder. The lock is SQLite's own lock on a small file, which the operating system lets go when the process
 * ends, however it ends; so there is never a stale lock to remove by hand.
 * @param name distinguishes the processes that may share a folder: `server`, `auth`
 * @throws AppError `data_folder_locked`, `data_folder_unusable`
 */
export function lockFolder(folder: string, name: string): Disposable {
  const path = join(folder, `${name}.lock`);
  let database: DatabaseSync;
  try {
    makeLockFile(path);
    database = new DatabaseSync(path, { timeout: 0 });
  } catch (cause) {
    throw new AppError('data_folder_unusable', `cannot write in the data folder ${folder}`, { cause });
  }
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
  } catch (cause) {
    database.close();
    const busy = cause instanceof Error && /locked|busy/i.test(cause.message);
    throw busy
      ? new AppError('data_folder_locked', `another ${name} process uses the data folder ${folder}`, { cause })
      : new AppError('data_folder_unusable', `cannot lock the data folder ${folder}`, { cause });
  }
  return {
    [Symbol.dispose]() {
      database.close();
    },
  };
}
