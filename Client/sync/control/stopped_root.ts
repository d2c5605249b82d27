import { join } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { openNodeDisk } from '../disk/node_disk.ts';
import { portableNames } from '../disk/portable_names.ts';
import type { Held } from '../guards.ts';
import { type ConflictRow, openSyncIndex, type Problem, type SyncIndex } from '../index/sync_index.ts';
import { copyPath } from '../resolve_conflict.ts';
import { openIgnoreRules } from '../scan/ignore_rules.ts';
import { type EntryReason, entryReason } from './entry_state.ts';
import type { RootFacts } from './root_rows.ts';
import type { SyncRoot } from './roots.ts';

/** A root that no process syncs now, as it was left; asks no server. */
export type StoppedRoot = {
  facts(): RootFacts;
  problems(): readonly Problem[];
  /** @param path within the synced folder @returns `null`: there is no such entry on either side */
  explain(path: string): EntryReason | null;
  conflicts(): readonly ConflictRow[];
};

/**
 * Opens its index while nobody else does.
 * @throws AppError `data_folder_locked`: a process began to sync it just now; `local_io`
 */
export async function withStoppedRoot<T>(root: SyncRoot, work: (stopped: StoppedRoot) => T): Promise<T> {
  using _held = await root.claim();
  const index = openSyncIndex(join(root.folder, 'index.db'));
  const { settings } = root;
  const disk = openDisk(settings.local);
  try {
    const kindOf = (path: string): ReturnType<Parameters<typeof entryReason>[0]['kindOf']> => kindAt(disk, path);
    const rules = openIgnoreRules({ ignoreFile: index.setting('ignore_file') ?? null, excludes: settings.excludes });
    const names = portableNames({ anyName: true });
    const held = heldThen(index);
    const question = { index, rules, names, held, underWay: new Map(), paused: settings.paused, offline: false, kindOf };
    // what has an alias here is found by that; nothing is written to find out what the disk can hold
    const byAlias = { ...question, names: portableNames({ anyName: false }) };
    return work({
      facts: () => ({
        ...{ local: settings.local, remote: settings.remote, state: settings.paused ? 'paused' : 'closed', error: null, held },
        ...{ files: index.agreedFiles(), waiting: index.changed().length, conflicts: index.conflicts().length },
        ...{ watching: null, limitUp: settings.limitUp, limitDown: settings.limitDown, rateUp: 0, rateDown: 0 },
      }),
      problems: () => index.problems(),
      explain: (path) => entryReason(question, path) ?? entryReason(byAlias, path),
      conflicts: () => index.conflicts().map((row) => ({ ...row, copyPath: copyPath({ index, names }, row) ?? row.copyPath })),
    });
  } finally {
    disk?.close();
    index.close();
  }
}

/** What the last pass left to a person; the engine writes it. */
function heldThen(index: SyncIndex): readonly Held[] {
  const text = index.setting('held');
  return text === undefined ? [] : (JSON.parse(text) as Held[]);
}

/** A folder that is not there, or cannot be looked at, still has an index. */
function openDisk(local: string): Disk | null {
  try {
    return openNodeDisk(local);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
}

function kindAt(disk: Disk | null, path: string) {
  try {
    return disk?.stat(path)?.kind ?? null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
}
