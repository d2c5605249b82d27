import { type FSWatcher, watch } from 'node:fs';
import { sep } from 'node:path';
import type { OnHint, Watcher } from './disk.ts';
import { PRIVATE_FOLDER } from './local_tree.ts';
import { FolderWatchers } from './watch_folders.ts';

/**
 * Tells of what may have changed in a folder, and in everything below it that is not the private folder. Nothing that goes wrong is thrown:
 * what cannot be watched is missing in `coverage`, and a hint of `null` says that some may have been missed. A folder that comes is told with
 * all that is in it. Look at everything once after this has returned: what was before is not told.
 */
export function watchFolder(root: string, onHint: OnHint): Watcher {
  return process.platform === 'linux' ? new FolderWatchers(root, PRIVATE_FOLDER, onHint) : watchAtOnce(root, onHint);
}

/** Where the system watches a whole tree. */
function watchAtOnce(root: string, onHint: OnHint): Watcher {
  let watcher: FSWatcher | null = null;
  const fail = (): void => {
    watcher?.close();
    watcher = null;
    onHint(null);
  };
  try {
    watcher = watch(root, { recursive: true }, (_, name) => {
      if (name === null) onHint(null);
      else if (name !== PRIVATE_FOLDER && !name.startsWith(PRIVATE_FOLDER + sep)) onHint(name.split(sep).join('/'));
    });
    watcher.on('error', fail);
  } catch {
    setImmediate(fail);
  }
  return {
    get coverage() {
      return { watched: watcher === null ? 0 : 1, of: 1 };
    },
    close: () => watcher?.close(),
  };
}
