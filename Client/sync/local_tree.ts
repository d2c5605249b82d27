import type { Disk, DiskFile, DiskStat } from './disk.ts';

/** Folder inside the synced one for what the engine itself needs there, on the same file system. Never synced, never shown. */
export const PRIVATE_FOLDER = '.driftless';

/** Recorded before anything is touched, forgotten once it is done and recorded: what an interruption leaves is put right from it. */
export type Intent =
  | {
      readonly id: number;
      readonly kind: 'place' | 'remove';
      readonly path: string;
      readonly expected: DiskStat | null;
      readonly staged: string | null;
      readonly aside: string;
    }
  | { readonly id: number; readonly kind: 'move'; readonly path: string; readonly to: string; readonly expected: DiskStat };

/** What was reached: `stat` is that of the file that was placed, taken from its own handle. `changed`: a person was faster; nothing of theirs was touched, look again. */
export type Achieved = { readonly status: 'done'; readonly stat: DiskStat | null } | { readonly status: 'changed' };

/**
 * The only place that changes synced files. Each change is made in an order that loses nothing, whoever else is writing and whenever it is
 * interrupted: see docs/decisions (the write orders). `expected` is the state that the decision was based on; `null`: nothing is there.
 * What was there before goes to the trash inside the private folder, never away.
 */
export type LocalTree = {
  /** A file to write new content into. @param id unique in this folder's life */
  stage(id: number): DiskFile;
  /** Gives the staged file (or a symlink) its name. Its content is durable before. */
  place(
    intent: Intent & { kind: 'place' },
    what: { file: DiskFile; mode: number; mtimeUs: number } | { target: string; mtimeUs: number },
  ): Achieved;
  /** A file or symlink, to the trash. */
  remove(intent: Intent & { kind: 'remove' }): Achieved;
  /** A file, symlink or whole folder. `changed` when the target is taken, or the source is not what is expected. */
  move(intent: Intent & { kind: 'move' }): Achieved;
  makeFolder(path: string, mode: number): Achieved;
  /** Only an empty one: `changed` otherwise. */
  removeFolder(path: string): Achieved;
  setAttributes(path: string, expected: DiskStat, attributes: { mode: number; mtimeUs: number }): Achieved;
  /** All that was placed, moved and removed since the last call is durable: only then may it be recorded. */
  settle(): Promise<void>;
  /** What an interruption left: finishes or takes back. Afterwards every path holds something whole. */
  recover(intents: readonly Intent[]): void;
  /** Trash older than this is given up. */
  emptyTrash(olderThanMs: number, nowMs: number): void;
};

export type OpenLocalTree = (disk: Disk) => LocalTree;
