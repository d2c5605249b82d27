import { assertNever } from '../../Models/errors.ts';
import type { Disk } from './disk.ts';
import { asidePath, type Intent, type LocalTree } from './local_tree.ts';
import { isUntouched } from './local_tree_states.ts';
import { localPath, type NameForms } from './scan.ts';
import type { ConflictRow, LocalNode, SyncIndex } from './sync_index.ts';
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
 * Changes what is on this disk as a person would: the next pass carries it to the server. What gives way goes to the trash.
 * @returns false when the files are not what they were when they were last looked at: nothing was changed, look again
 * @throws AppError `local_io`
 */
export async function resolveConflict(deps: ResolveDeps, conflict: ConflictRow, keep: Keep): Promise<boolean> {
  const { index } = deps;
  const copy = index.local.get(conflict.copy);
  if (copy === undefined || keep === 'both') {
    index.endConflict(conflict.copy);
    return true;
  }
  const done =
    keep === 'theirs' ? await remove(deps, copy) : keep === 'mine' ? await putInPlace(deps, copy, conflict.path) : assertNever(keep);
  if (done) index.endConflict(conflict.copy);
  return done;
}

/** Its path as it is now: a copy may have been renamed. `null`: it is not there any more. */
export function copyPath({ index, names }: Pick<ResolveDeps, 'index' | 'names'>, conflict: ConflictRow): string | null {
  return index.local.get(conflict.copy) === undefined ? null : localPath(index, names, conflict.copy);
}

async function remove(deps: ResolveDeps, node: LocalNode): Promise<boolean> {
  const path = localPath(deps.index, deps.names, node.id);
  if (path === null) return true;
  return seenThrough(
    deps,
    intentFor(deps, 'remove', path, node),
    (tree, intent) => intent.kind === 'remove' && tree.remove(intent).status === 'done',
  );
}

async function putInPlace(deps: ResolveDeps, copy: LocalNode, path: string): Promise<boolean> {
  const { index, disk } = deps;
  const from = localPath(deps.index, deps.names, copy.id);
  if (from === null) return true;
  const mine = disk.stat(from);
  if (mine === null || !isUntouched(mine, expectedOf(copy))) return false; // before anything gives way to it
  const there = disk.stat(path);
  if (there !== null) {
    const known = index.local.children(copy.parent).find(({ id }) => localPath(index, deps.names, id) === path);
    if (known === undefined || known.kind === 'folder' || !(await remove(deps, known))) return false;
  }
  const moving = { ...intentFor(deps, 'remove', from, copy), kind: 'move', to: path } as const;
  return seenThrough(deps, moving, (tree, intent) => intent.kind === 'move' && tree.move(intent).status === 'done');
}

function intentFor({ index, now }: ResolveDeps, kind: 'remove', path: string, node: LocalNode): Extract<Intent, { kind: 'remove' }> {
  const id = index.newId();
  return { id, kind, path, expected: expectedOf(node), aside: asidePath(id, path, now()) };
}

async function seenThrough(deps: ResolveDeps, intent: Intent, act: (tree: LocalTree, intent: Intent) => boolean): Promise<boolean> {
  const { index, tree } = deps;
  index.transaction(() => index.addIntents([intent]));
  const done = act(tree, intent);
  await tree.settle();
  index.transaction(() => index.endIntents([intent.id]));
  return done;
}
