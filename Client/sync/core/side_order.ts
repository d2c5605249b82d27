import { foldName } from '../../../Models/names.ts';
import type { Action, Side } from './actions.ts';
import type { Fates } from './fates.ts';
import { parkedName } from './names.ts';
import { type NodeId, ROOT, type Tree, type TreeNode } from './tree.ts';
import { isFolder } from './trees.ts';

const HOPS_MAX = 200; // of a chain of renames where each waits for the next; then one of them is parked

/** Something gets a place on its side. */
export type Placement = Extract<Action, { type: 'make' | 'put' | 'move' }>;

export type SideOrder = {
  /** Folders made, nodes moved, and deleted where their name is needed: each level needs only what is in those before. */
  readonly levels: readonly (readonly Action[])[];
  /** Leaves, when all levels are done. */
  readonly puts: readonly Action[];
  /** What is still to be deleted, the deepest first. */
  readonly deletes: readonly (readonly Action[])[];
};

const NOTHING: SideOrder = { levels: [], puts: [], deletes: [] };

/**
 * Puts what happens on one side in an order in which every folder is there before what goes into it, and every name is free before it is taken.
 * @param placements where nodes go
 * @param setAside local nodes whose file is given another name, and what that is
 * @param deleted all that is to be deleted on this side
 */
export function orderSide(
  side: Side,
  tree: Tree,
  work: {
    readonly placements: ReadonlyMap<NodeId, Placement>;
    readonly setAside: ReadonlyMap<NodeId, string>;
    readonly deleted: readonly NodeId[];
    readonly fates: Fates;
    /** Whether two names are one here. */
    readonly isOneName: (name: string, other: string) => boolean;
  },
): SideOrder {
  if (work.placements.size === 0 && work.setAside.size === 0 && work.deleted.length === 0) return NOTHING;
  const levels: Action[][] = [];
  const puts: Action[] = [];
  // the first level at which what waits for it can run
  const placedAt = new Map<NodeId, number>();
  const leftAt = new Map<NodeId, number>(); // its old name is free
  const deletedAt = new Map<NodeId, number>();
  const settledAt = new Map<NodeId, number>([[ROOT, 0]]);
  const underWay = new Set<NodeId>();
  let wanted: ReadonlySet<string> | undefined; // places that something is to have; known once something is parked

  for (const [id, name] of work.setAside) leftAt.set(id, run(0, { type: 'set_aside', id, name }));
  for (const id of work.placements.keys()) place(id, 0);
  const deletes = deepestFirst(
    tree,
    work.deleted.filter((id) => !deletedAt.has(id)),
  ).map((ids) => ids.map((id): Action => ({ type: 'delete', side, id })));
  return { levels, puts, deletes };

  function run(level: number, action: Action): number {
    while (levels.length <= level) levels.push([]);
    levels[level]?.push(action);
    return level + 1;
  }

  /** @returns false: not now, something on the way here waits for this very node */
  function place(id: NodeId, hops: number): boolean {
    const placement = work.placements.get(id);
    if (placement === undefined || underWay.has(id)) return false;
    if (placedAt.has(id)) return true;
    underWay.add(id);
    const level = readyAt(id, placement, hops);
    underWay.delete(id);
    if (level === null) return false;
    if (placement.type === 'put') {
      puts.push(placement);
      return true;
    }
    const done = run(level, placement);
    placedAt.set(id, done);
    leftAt.set(id, done);
    return true;
  }

  /** The level at which the folder is where it belongs and the name in it is free. */
  function readyAt(id: NodeId, { parent, name }: Placement, hops: number): number | null {
    let level = settle(parent, hops);
    if (level === null) return null;
    for (const other of tree.named(parent, foldName(name))) {
      if (other.id === id || !work.isOneName(other.name, name)) continue;
      const free: number | null = leftAt.get(other.id) ?? clear(other, hops);
      if (free === null) return null;
      level = Math.max(level, free);
    }
    return Math.max(level, leftAt.get(id) ?? 0);
  }

  /** A folder is where it belongs, and so is all above it: then nothing can be moved into itself. */
  function settle(id: NodeId, hops: number): number | null {
    const before = settledAt.get(id);
    if (before !== undefined) return before;
    const placement = work.placements.get(id);
    const parent = placement?.parent ?? tree.get(id)?.parent;
    if (parent === undefined || (placement !== undefined && !place(id, hops))) return null;
    const above = settle(parent, hops);
    if (above === null) return null;
    const level = Math.max(above, placedAt.get(id) ?? 0);
    settledAt.set(id, level);
    return level;
  }

  /** Frees the name of a node that does not keep it. */
  function clear(node: TreeNode, hops: number): number | null {
    if (work.fates(node.id).type === 'dies') return isDeadThroughout(node) ? remove(node) : park(node);
    if (!work.placements.has(node.id)) return null;
    if (hops < HOPS_MAX && place(node.id, hops + 1)) return leftAt.get(node.id) ?? null;
    return leftAt.get(node.id) ?? park(node);
  }

  function park(node: TreeNode): number | null {
    wanted ??= new Set([...work.placements.values()].map(({ parent, name }) => `${parent}/${foldName(name)}`));
    const names = wanted;
    const name = parkedName(node, (candidate) => {
      const key = foldName(candidate);
      return names.has(`${node.parent}/${key}`) || isTaken(node.parent, key);
    });
    if (name === null) return null;
    const done = run(0, { type: 'move', side, id: node.id, parent: node.parent, name });
    leftAt.set(node.id, done);
    return done;
  }

  function isTaken(parent: NodeId, key: string): boolean {
    for (const _ of tree.named(parent, key)) return true;
    return false;
  }

  function isDeadThroughout(node: TreeNode): boolean {
    if (!isFolder(node)) return true;
    for (const child of tree.children(node.id)) {
      if (placedAt.has(child.id)) continue;
      if (work.fates(child.id).type !== 'dies' || !isDeadThroughout(child)) return false;
    }
    return true;
  }

  function remove(node: TreeNode): number {
    let level = leftAt.get(node.id) ?? 0;
    if (isFolder(node)) {
      for (const child of tree.children(node.id))
        level = Math.max(level, placedAt.get(child.id) ?? deletedAt.get(child.id) ?? remove(child));
    }
    const done = run(level, { type: 'delete', side, id: node.id });
    deletedAt.set(node.id, done);
    leftAt.set(node.id, done);
    return done;
  }
}

function deepestFirst(tree: Tree, ids: readonly NodeId[]): NodeId[][] {
  const known = new Map<NodeId, number>([[ROOT, 0]]);
  function depth(id: NodeId): number {
    const before = known.get(id);
    if (before !== undefined) return before;
    const found = depth(tree.get(id)?.parent ?? ROOT) + 1;
    known.set(id, found);
    return found;
  }
  const byDepth: NodeId[][] = [];
  for (const id of ids) {
    const at = depth(id);
    while (byDepth.length <= at) byDepth.push([]);
    byDepth[at]?.push(id);
  }
  return byDepth.reverse().filter((level) => level.length > 0);
}
