import { assertNever } from '../../Models/errors.ts';
import type { Disk } from './disk/disk.ts';
import { asidePath, type LocalTree, type MoveIntent, type RemoveIntent } from './disk/local_tree.ts';
import type { ConflictRow, LocalNode, SyncIndex } from './index/sync_index.ts';
import { localPath, type NameForms } from './scan/scan.ts';
import { expectedOf } from './work_scope.ts';

/** Which version of something that was changed on both sides stays: this device's, which is in the copy, the other one, or each under its name. */
export type Keep = 'mine' | 'theirs' | 'both';

export type ResolveDeps = {
  readonly disk: Disk;
  readonly tree: LocalTree;
  readonly index: SyncIndex;
  readonly names: NameForms;
  readonly now: () => number;
};

/**
 * Changes what is on this disk as a person would: the next pass carries it to the server. What gives way goes to the trash. What is to be done is
 * recorded as one: an interruption, or a person who was faster, leaves all of it done or none.
 * @returns false when the files are not what they were when they were last looked at: nothing was changed, look again
 * @throws AppError `local_io`
 */
export async function resolveConflict(deps: ResolveDeps, conflict: ConflictRow, keep: Keep): Promise<boolean> {
  const { index, tree } = deps;
  const intents = intentsFor(deps, conflict, keep);
  if (intents === null) return false;
  index.transaction(() => index.addIntents(intents));
  const isDone = intents.every((intent) => (intent.kind === 'move' ? tree.move(intent) : tree.remove(intent)).status === 'done');
  if (isDone) await tree.settle();
  else await tree.recover(intents);
  index.transaction(() => {
    index.endIntents(intents.map(({ id }) => id));
    if (isDone) index.endConflict(conflict.copy);
  });
  return isDone;
}

/** Its path as it is now: a copy may have been renamed. `null`: it is not there any more. */
export function copyPath({ index, names }: Pick<ResolveDeps, 'index' | 'names'>, conflict: ConflictRow): string | null {
  return index.local.get(conflict.copy) === undefined ? null : localPath(index, names, conflict.copy);
}

/** @returns `null`: not as it was last looked at */
function intentsFor(deps: ResolveDeps, conflict: ConflictRow, keep: Keep): (MoveIntent | RemoveIntent)[] | null {
  const { index, disk, names } = deps;
  const copy = index.local.get(conflict.copy);
  const from = copyPath(deps, conflict);
  if (copy === undefined || from === null) return [];
  const remove = (path: string, node: LocalNode): RemoveIntent => {
    const id = index.newId();
    return { id, kind: 'remove', path, expected: expectedOf(node), aside: asidePath(id, path, deps.now()) };
  };
  switch (keep) {
    case 'both':
      return [];
    case 'theirs':
      return [remove(from, copy)];
    case 'mine': {
      const { path } = conflict;
      const moving = { ...remove(from, copy), kind: 'move', to: path } as const;
      if (disk.stat(path) === null) return [moving];
      const there = index.local.children(copy.parent).find(({ id }) => localPath(index, names, id) === path);
      return there === undefined || there.kind === 'folder' ? null : [remove(path, there), moving];
    }
    default:
      return assertNever(keep);
  }
}
