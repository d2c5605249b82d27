import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AppError } from '../Models/errors.ts';

/**
 * One process per data folder. The lock is SQLite's own lock on a small file, which the operating system lets go when the process
 * ends, however it ends; so there is never a stale lock to remove by hand.
 * @param name distinguishes the processes that may share a folder: `server`, `auth`
 * @throws AppError `data_folder_locked`, `data_folder_unusable`
 */
export function lockFolder(folder: string, name: string): Disposable {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(join(folder, `${name}.lock`), { timeout: 0 });
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
