import { assertNever } from '../../../Models/errors.ts';
import type { Action, Plan, Side } from '../core/plan.ts';
import { type NodeId, ROOT, type TreeNode } from '../core/tree.ts';
import { inFolder } from '../disk/disk_paths.ts';
import type { SyncIndex } from '../index/sync_index.ts';
import type { PlanRow } from './control_messages.ts';

type Known = { readonly index: Pick<SyncIndex, 'local' | 'remote'> };

/** A plan in the words of paths, in the order in which it would be carried out. */
export function* planRows(plan: Plan, known: Known): Generator<PlanRow> {
  for (const action of plan.steps.flat()) yield rowOf(action, known);
}

export type PlanTotals = Readonly<Record<PlanRow['kind'], number>> & { readonly bytesUp: number; readonly bytesDown: number };

/** @returns how many rows there are of each kind, and the most content that may have to travel */
export function planTotals(rows: Iterable<PlanRow>): PlanTotals {
  const totals = { up: 0, down: 0, move: 0, delete: 0, conflict: 0, attributes: 0, compare: 0, bytesUp: 0, bytesDown: 0 };
  for (const { kind, bytes } of rows) {
    totals[kind] += 1;
    if (kind === 'up') totals.bytesUp += bytes;
    if (kind === 'down') totals.bytesDown += bytes;
  }
  return totals;
}

function rowOf(action: Action, known: Known): PlanRow {
  const { index } = known;
  switch (action.type) {
    case 'adopt':
      return row('compare', null, action.local, known);
    case 'hash':
    case 'record':
    case 'forget':
      return row('compare', null, action.id, known);
    case 'set_aside': {
      const parent = index.local.get(action.id)?.parent ?? ROOT;
      return { ...row('conflict', 'local', action.id, known), to: inFolder(pathOf('local', parent, known), action.name) };
    }
    case 'move':
      return { ...row('move', action.side, action.id, known), to: placeOf(action, known) };
    case 'make':
    case 'put':
      return { ...row(kindTo(action.side), action.side, action.id, known), path: placeOf(action, known) };
    case 'replace':
      return row(kindTo(action.side), action.side, action.id, known);
    case 'touch':
      return row('attributes', action.side, action.id, known);
    case 'delete':
      return row('delete', action.side, action.id, known);
    default:
      return assertNever(action);
  }
}

const kindTo = (side: Side): 'up' | 'down' => (side === 'remote' ? 'up' : 'down');

function placeOf({ side, parent, name }: Extract<Action, { type: 'make' | 'put' | 'move' }>, known: Known): string {
  return inFolder(pathOf(side, parent, known), name);
}

function row(kind: PlanRow['kind'], side: Side | null, id: NodeId, known: Known): PlanRow {
  const { index } = known;
  const here = index.local.get(id);
  const there = index.remote.get(id);
  const node: TreeNode | undefined = side === 'remote' ? (there ?? here) : (here ?? there);
  const isContent = kind === 'up' || kind === 'down';
  const size = kind === 'up' ? here?.seen.size : there?.size;
  const entry = (isContent ? (kind === 'up' ? here : there) : node)?.kind ?? 'file';
  return {
    kind,
    side,
    path: pathOf(side ?? 'local', id, known),
    to: null,
    entry,
    bytes: isContent && entry === 'file' ? (size ?? 0) : 0,
  };
}

const DEPTH_MAX = 1000;

/** As the server spells it; where the entry is on that side, or, if it is not there, on the other. */
function pathOf(side: Side, id: NodeId, { index }: Known): string {
  const parts: string[] = [];
  for (let at = id; at !== ROOT && parts.length < DEPTH_MAX; ) {
    const node: TreeNode | undefined =
      side === 'local' ? (index.local.get(at) ?? index.remote.get(at)) : (index.remote.get(at) ?? index.local.get(at));
    if (node === undefined) break;
    parts.push(node.name);
    at = node.parent;
  }
  return parts.reverse().join('/');
}
