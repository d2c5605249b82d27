import { type NodeId, ROOT, type TreeNode } from '../core/tree.ts';
import { emptyNodes, isFree, isInside, type Nodes, type World } from './plan_world.ts';

/** What a person does to a tree; `both`: before the two sides part. What is not possible any more (others were left out) does nothing. */
export type Deed = { readonly side: 'both' | 'local' | 'remote' } & (
  | { readonly type: 'create'; readonly node: TreeNode }
  | { readonly type: 'edit'; readonly id: NodeId; readonly content: string }
  | { readonly type: 'touch'; readonly id: NodeId; readonly mode: number; readonly mtimeUs: number }
  | { readonly type: 'move'; readonly id: NodeId; readonly parent: NodeId; readonly name: string }
  | { readonly type: 'swap'; readonly id: NodeId; readonly other: NodeId }
  /** With all that is in it. */
  | { readonly type: 'delete'; readonly id: NodeId }
  /** Something of another kind in its place. */
  | { readonly type: 'become'; readonly id: NodeId; readonly node: TreeNode }
);

export type History = {
  readonly deeds: readonly Deed[];
  /** Done one after each round of trouble. */
  readonly later: readonly Deed[];
  readonly unread: readonly NodeId[];
  readonly held: readonly NodeId[];
  readonly localFolds: boolean;
};

const FIRST_COPY_ID = 1000; // of what is set aside: above all ids of a history

export function worldOf(history: History): World {
  const shared = emptyNodes();
  for (const deed of history.deeds) if (deed.side === 'both') perform(shared, deed, true);
  const world: World = {
    ancestor: shared,
    local: new Map(shared),
    remote: new Map(shared),
    unread: new Set(),
    held: new Set(history.held),
    localFolds: history.localFolds,
    device: 'desk',
    nextId: FIRST_COPY_ID,
  };
  for (const deed of history.deeds) if (deed.side !== 'both') perform(world[deed.side], deed, deed.side === 'remote' || history.localFolds);
  for (const id of history.unread) if (world.local.get(id)?.kind === 'file') world.unread.add(id);
  return world;
}

/** @param folds whether names that fold together are one. @returns whether it was possible */
export function perform(nodes: Nodes, deed: Deed, folds: boolean): boolean {
  switch (deed.type) {
    case 'create':
      return create(nodes, deed.node, folds);
    case 'edit':
      return change(nodes, deed.id, { content: deed.content, mtimeUs: 7 });
    case 'touch':
      return change(nodes, deed.id, { mode: deed.mode, mtimeUs: deed.mtimeUs });
    case 'move':
      return move(nodes, deed, folds);
    case 'swap':
      return swap(nodes, deed.id, deed.other);
    case 'delete':
      return remove(nodes, deed.id);
    case 'become':
      return become(nodes, deed.id, deed.node);
  }
}

function create(nodes: Nodes, node: TreeNode, folds: boolean): boolean {
  if (nodes.has(node.id) || nodes.get(node.parent)?.kind !== 'folder') return false;
  if (!isFree(nodes, { parent: node.parent, name: node.name, folds }, node.id)) return false;
  nodes.set(node.id, node);
  return true;
}

function change(nodes: Nodes, id: NodeId, to: { content?: string; mode?: number; mtimeUs: number }): boolean {
  const node = nodes.get(id);
  if (node === undefined || (to.content !== undefined && node.kind === 'folder')) return false;
  nodes.set(id, { ...node, ...to });
  return true;
}

function move(nodes: Nodes, { id, parent, name }: { id: NodeId; parent: NodeId; name: string }, folds: boolean): boolean {
  const node = nodes.get(id);
  if (node === undefined || nodes.get(parent)?.kind !== 'folder' || isInside(nodes, parent, id)) return false;
  if (!isFree(nodes, { parent, name, folds }, id)) return false;
  nodes.set(id, { ...node, parent, name });
  return true;
}

function swap(nodes: Nodes, id: NodeId, otherId: NodeId): boolean {
  const one = nodes.get(id);
  const other = nodes.get(otherId);
  if (one === undefined || other === undefined || isInside(nodes, id, otherId) || isInside(nodes, otherId, id)) return false;
  nodes.set(id, { ...one, parent: other.parent, name: other.name });
  nodes.set(otherId, { ...other, parent: one.parent, name: one.name });
  return true;
}

function remove(nodes: Nodes, id: NodeId): boolean {
  if (id === ROOT || !nodes.has(id)) return false;
  for (const node of [...nodes.values()]) if (node.parent === id && node.id !== ROOT) remove(nodes, node.id);
  return nodes.delete(id);
}

function become(nodes: Nodes, id: NodeId, node: TreeNode): boolean {
  const old = nodes.get(id);
  if (old === undefined || nodes.has(node.id) || !remove(nodes, id)) return false;
  nodes.set(node.id, { ...node, parent: old.parent, name: old.name });
  return true;
}
