import { assertNever } from '../../Models/errors.ts';
import type { Conflict, Plan } from './core/plan.ts';
import type { NodeId } from './core/tree.ts';
import type { DiskStat } from './disk/disk.ts';
import { contentIs } from './disk/hash_local.ts';
import { type Achieved, asidePath, type Intent, type IntentTarget } from './disk/local_tree.ts';
import type { LocalNode } from './index/sync_index.ts';
import { expectedOf, type WorkScope } from './work_scope.ts';

/** Actions on this disk that need nothing from the server. */
export type LocalAction =
  | { readonly type: 'set_aside'; readonly id: NodeId; readonly name: string }
  | { readonly type: 'make' | 'move'; readonly id: NodeId; readonly parent: NodeId; readonly name: string }
  | { readonly type: 'delete' | 'touch'; readonly id: NodeId };

type Job = {
  readonly id: NodeId;
  readonly path: string;
  readonly intent: Intent | null;
  readonly act: () => Achieved;
  /** A person was faster. */
  readonly onChanged?: () => void;
  /** Called once it is durable. @param stat of what is there now */
  readonly record: (stat: DiskStat | null) => void;
};

/** Carries out actions that do not depend on each other: intents, then the disk, then what was reached. */
export async function workLocally(scope: WorkScope, actions: readonly LocalAction[], conflicts: Plan['conflicts']): Promise<void> {
  const { index, tree } = scope.deps;
  const jobs = index.transaction(() => {
    const prepared = actions.map((action) => prepare(scope, action, conflicts)).filter((job) => job !== null);
    index.addIntents(prepared.flatMap(({ intent }) => (intent === null ? [] : [intent])));
    return prepared;
  });
  if (jobs.length === 0) return;
  const reached: { job: Job; achieved: Achieved & { status: 'done' } }[] = [];
  const ended: number[] = [];
  for (const job of jobs) {
    try {
      const achieved = job.act();
      if (achieved.status === 'done') reached.push({ job, achieved });
      else {
        scope.changed(job.path);
        job.onChanged?.();
      }
      if (job.intent !== null) ended.push(job.intent.id);
    } catch (error) {
      if (job.intent !== null) scope.unfinished = true;
      scope.failed(job.id, job.path, error);
    }
  }
  await tree.settle();
  index.transaction(() => {
    for (const { job, achieved } of reached) {
      job.record(achieved.stat);
      scope.forgetPaths();
    }
    index.endIntents(ended);
  });
}

function prepare(scope: WorkScope, action: LocalAction, conflicts: Plan['conflicts']): Job | null {
  const conflict = conflicts.find(({ id }) => id === action.id);
  switch (action.type) {
    case 'set_aside':
      return setAside(scope, action, conflict);
    case 'make':
      return make(scope, action);
    case 'move':
      return move(scope, action, conflict);
    case 'delete':
      return remove(scope, action.id);
    case 'touch':
      return touch(scope, action.id);
    default:
      return assertNever(action);
  }
}

function make(scope: WorkScope, { id, parent, name }: { id: NodeId; parent: NodeId; name: string }): Job | null {
  const { index, tree } = scope.deps;
  const source = index.remote.get(id);
  const path = scope.childPath(id, parent, name);
  if (source === undefined || path === null) return null;
  const { mode, mtimeUs } = source;
  return {
    id,
    path,
    intent: null,
    act() {
      scope.keepTime(parent);
      return tree.makeFolder(path, mode);
    },
    record(stat) {
      if (stat === null) return;
      scope.setTime(id, mtimeUs);
      // its time is set when all is in it: until then it looks changed, should that not happen
      const seen = { ...scope.seen(stat), mtimeMs: 0 };
      index.setLocal(id, { id, parent, name, kind: 'folder', content: '', mode, mtimeUs, seen });
      index.agree(id);
      scope.tell('down', 'make', path);
    },
  };
}

function move(scope: WorkScope, action: { id: NodeId; parent: NodeId; name: string }, conflict: Conflict | undefined): Job | null {
  const { index } = scope.deps;
  const { id, parent, name } = action;
  const node = index.local.get(id);
  return node === undefined
    ? null
    : rename(scope, node, { node: id, parent, name }, (moved, path, to) => {
        index.setLocal(id, moved);
        index.agree(id);
        if (conflict !== undefined) noteConflict(scope, conflict, { copy: id, path, copyPath: to });
        scope.tell('down', 'move', to);
      });
}

function setAside(scope: WorkScope, action: { id: NodeId; name: string }, conflict: Conflict | undefined): Job | null {
  const { index } = scope.deps;
  const { id, name } = action;
  const node = index.local.get(id);
  if (node === undefined) return null;
  const copy = index.newId();
  return rename(scope, node, { node: id, parent: node.parent, name, copy }, (moved, path, to) => {
    index.setLocal(id, null);
    index.setLocal(copy, { ...moved, id: copy });
    if (conflict !== undefined) noteConflict(scope, conflict, { copy, path, copyPath: to });
    scope.tell('down', 'set_aside', to);
  });
}

function rename(
  scope: WorkScope,
  node: LocalNode,
  target: IntentTarget,
  record: (moved: LocalNode, path: string, to: string) => void,
): Job | null {
  const { index, tree, now } = scope.deps;
  const path = scope.path(node.id);
  const to = scope.childPath(node.id, target.parent, target.name);
  if (path === null || to === null) return null;
  const id = index.newId();
  const intent = { kind: 'move', id, path, to, expected: expectedOf(node), aside: asidePath(id, path, now()), of: target } as const;
  const { parent, name } = target;
  return {
    id: node.id,
    path,
    intent,
    act() {
      scope.keepTime(node.parent);
      scope.keepTime(parent);
      return tree.move(intent);
    },
    record: (stat) => record(afterMove(scope, { ...node, parent, name }, stat), path, to),
  };
}

/** A rename changes nothing but the time of change; where more is different somebody wrote to it, and of a folder the next scan is to see that. */
function afterMove(scope: WorkScope, node: LocalNode, stat: DiskStat | null): LocalNode {
  if (stat === null) return node;
  const { seen } = node;
  if (node.kind === 'folder') return { ...node, seen: { ...scope.seen(stat), mtimeMs: seen.mtimeMs } };
  const same = stat.ino === seen.ino && stat.mtimeMs === seen.mtimeMs && stat.size === seen.size && stat.mode === seen.mode;
  return same ? { ...node, seen: { ...scope.seen(stat), racy: seen.racy } } : { ...node, content: null };
}

function remove(scope: WorkScope, id: NodeId): Job | null {
  const { index, tree, now } = scope.deps;
  const node = index.local.get(id);
  const path = scope.path(id);
  if (node === undefined || path === null) return null;
  const intentId = index.newId();
  const intent =
    node.kind === 'folder'
      ? null
      : ({ kind: 'remove', id: intentId, path, expected: expectedOf(node), aside: asidePath(intentId, path, now()) } as const);
  return {
    id,
    path,
    intent,
    act() {
      scope.keepTime(node.parent);
      return intent === null ? tree.removeFolder(path) : tree.remove(intent, (file) => contentIs(file, node.content));
    },
    onChanged() {
      if (node.kind !== 'folder') return;
      scope.dirty.add(path); // what came into it is looked at; if nothing did, what is in it is not synced
      scope.deps.onProblem(id, path, 'folder_not_empty', '');
    },
    record() {
      if (node.content !== null && intent !== null && scope.trashed.has(node.content)) scope.trashed.set(node.content, intent.aside);
      index.setLocal(id, null);
      index.agree(id);
      scope.tell('down', 'delete', path);
    },
  };
}

function touch(scope: WorkScope, id: NodeId): Job | null {
  const { index, tree } = scope.deps;
  const node = index.local.get(id);
  const source = index.remote.get(id);
  const path = scope.path(id);
  if (node === undefined || source === undefined || path === null) return null;
  const { mode, mtimeUs } = source;
  return {
    id,
    path,
    intent: null,
    act: () => tree.setAttributes(path, expectedOf(node), { mode, mtimeUs }),
    record(stat) {
      if (node.kind === 'folder') scope.setTime(id, mtimeUs);
      const seen = stat === null ? node.seen : scope.seen(stat);
      // who wrote just before the time was set left no trace of it
      index.setLocal(id, { ...node, mode, mtimeUs, seen: { ...seen, racy: node.kind === 'file' } });
      index.agree(id);
      scope.tell('down', 'touch', path);
    },
  };
}

function noteConflict(scope: WorkScope, { id, kind }: Conflict, where: { copy: NodeId; path: string; copyPath: string }): void {
  const { index, now } = scope.deps;
  index.addConflict({ ...where, kind, baseVersion: index.ancestor.get(id)?.version ?? null, atMs: now() });
}
