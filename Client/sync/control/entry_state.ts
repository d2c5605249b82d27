import { type NodeId, ROOT } from '../core/tree.ts';
import type { Held } from '../guards.ts';
import { sameAttributes, sameNode } from '../index/index_nodes.ts';
import type { Problem, SyncIndex } from '../index/sync_index.ts';
import { nodeAt } from '../node_at.ts';
import type { EntryState, Reason } from '../reasons.ts';
import type { IgnoreRules, LeftOut } from '../scan/ignore_rules.ts';
import { leftOutAt } from '../scan/left_out_places.ts';
import type { NameForms } from '../scan/scan.ts';
import type { UnderWay } from '../work_scope.ts';
import type { ReasonDetails } from './explanations.ts';

/** One state and one reason for an entry. */
export type EntryReason = {
  readonly path: string;
  readonly state: EntryState;
  readonly reason: Reason;
  readonly details: ReasonDetails;
  readonly node: number | null; // on the server, wherever it is there now; `null`: it is not known to be there
};

export type EntryQuestion = {
  readonly index: SyncIndex;
  readonly rules: Pick<IgnoreRules, 'match' | 'arePlaces' | 'standing'>;
  readonly names: NameForms;
  readonly held: readonly Held[];
  readonly underWay: ReadonlyMap<NodeId, UnderWay>;
  readonly paused: boolean;
  readonly offline: boolean;
  /** What is on the disk at a path, as far as it can be seen. */
  readonly kindOf: (path: string) => 'file' | 'folder' | 'symlink' | 'other' | null;
};

const STATE_OF: Partial<Record<Reason, EntryState>> = {
  ignored: 'excluded',
  excluded: 'excluded',
  still_changing: 'waiting',
  name_collides: 'held',
  other_file_system: 'held',
};

/** Why an entry is, or is not, the same on both sides. @returns `null`: there is no such entry on either side */
export function entryReason(question: EntryQuestion, path: string): EntryReason | null {
  const { index, held } = question;
  const id = find(question, path);
  const answer = (state: EntryState, reason: Reason, details: ReasonDetails = {}): EntryReason => ({
    path,
    state,
    reason,
    details: { path, ...details },
    node: (id === null ? undefined : index.remote.get(id)?.node) ?? null,
  });
  const moving = id === null ? undefined : question.underWay.get(id);
  if (moving !== undefined) return answer('working', moving);
  const problem = problemOf(index.problems(), path);
  if (problem !== null && problem.reason !== 'ignored' && problem.reason !== 'excluded') {
    return answer(STATE_OF[problem.reason] ?? 'failed', problem.reason, { error: problem.detail });
  }
  const left = leftOut(question, path);
  if (left !== null) return answer('excluded', left.source, { rule: left });
  const conflict = index.conflicts().find((one) => one.path === path || one.copyPath === path);
  if (conflict !== undefined)
    return answer('conflict', 'in_conflict', {
      other: conflict.path === path ? conflict.copyPath : conflict.path,
      notAllowed: conflict.kind === 'not_allowed',
    });
  if (id === null && question.kindOf(path) === null) return null;
  if (held.some(({ guard }) => guard === 'root')) return answer('held', 'held_root'); // first: nothing was looked at since
  if (id !== null && isSynced(index, id)) return answer('synced', 'in_sync');
  const deletes = held.find((one) => one.guard === 'deletes');
  if (deletes !== undefined && id !== null && isDeleted(index, id)) {
    return answer('held', 'held_deletes', { count: deletes.files, of: deletes.of });
  }
  if (question.paused) return answer('waiting', 'paused');
  if (question.offline) return answer('waiting', 'offline');
  return answer('waiting', 'waiting_turn', { count: index.changed().length });
}

/** By its path here, or where it is on the server when it is not here. */
function find({ index, names }: EntryQuestion, path: string): NodeId | null {
  return nodeAt(index.local, names, path) ?? nodeAt(index.remote, names, path);
}

/** Its own, or that of the nearest folder above it. */
function problemOf(problems: readonly Problem[], path: string): Problem | null {
  let nearest: Problem | null = null;
  for (const problem of problems) {
    const above = path === problem.path || path.startsWith(`${problem.path}/`) || (problem.path === '' && problem.id === ROOT);
    if (above && (nearest === null || problem.path.length >= nearest.path.length)) nearest = problem;
  }
  return nearest;
}

/** By itself, or with a folder above it. */
function leftOut(question: EntryQuestion, path: string): LeftOut | null {
  if (path === '') return null;
  const kind = question.kindOf(path);
  const cut = path.lastIndexOf('/');
  const above = path.slice(0, Math.max(cut, 0));
  const folder = find(question, above);
  const entry = {
    path,
    name: question.names.toRemote(path.slice(cut + 1)),
    kind: kind === null || kind === 'other' ? 'file' : kind,
  } as const;
  const rule = folder === null ? question.rules.match(path, entry.kind) : leftOutAt(question, { ...entry, folder });
  return rule ?? leftOut(question, above);
}

function isSynced(index: SyncIndex, id: NodeId): boolean {
  const here = index.local.get(id);
  const there = index.remote.get(id);
  return id === ROOT || (here !== undefined && there !== undefined && sameNode(here, there) && sameAttributes(here, there));
}

function isDeleted(index: SyncIndex, id: NodeId): boolean {
  return index.local.get(id) === undefined || index.remote.get(id) === undefined;
}
