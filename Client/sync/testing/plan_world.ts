import { foldName } from '../../../Models/names.ts';
import type { Action, PlanInput, Side } from '../core/actions.ts';
import { type NodeId, ROOT, type Tree, type TreeNode } from '../core/tree.ts';

/** A small tree in memory; everything is found by looking through it. */
export type Nodes = Map<NodeId, TreeNode>;

/** Two replicas and what they agreed on, with all that a plan is made from. */
export type World = {
  readonly ancestor: Nodes;
  readonly local: Nodes;
  readonly remote: Nodes;
  /** Local files whose content the planner is not told. */
  readonly unread: Set<NodeId>;
  readonly held: Set<NodeId>;
  /** What the server did not allow to be changed. */
  readonly refused?: ReadonlySet<NodeId>;
  readonly localFolds: boolean;
  readonly device: string;
  nextId: NodeId;
};

const ROOT_NODE: TreeNode = { id: ROOT, parent: ROOT, name: '', kind: 'folder', content: '', mode: 0o755, mtimeUs: 0 };

export function emptyNodes(): Nodes {
  return new Map([[ROOT, ROOT_NODE]]);
}

export function copyWorld(world: World): World {
  return {
    ...world,
    ancestor: new Map(world.ancestor),
    local: new Map(world.local),
    remote: new Map(world.remote),
    unread: new Set(world.unread),
    held: new Set(world.held),
  };
}

function treeOf(nodes: Nodes, unread?: ReadonlySet<NodeId>): Tree {
  const seen = (node: TreeNode): TreeNode => (unread?.has(node.id) ? { ...node, content: null } : node);
  function pick(wanted: (node: TreeNode) => boolean): TreeNode[] {
    const found: TreeNode[] = [];
    for (const node of nodes.values()) if (node.id !== ROOT && wanted(node)) found.push(seen(node));
    return found;
  }
  return {
    get(id) {
      const node = nodes.get(id);
      return node === undefined ? undefined : seen(node);
    },
    children: (parent) => pick((node) => node.parent === parent),
    named: (parent, key) => pick((node) => node.parent === parent && foldName(node.name) === key),
  };
}

export function inputOf(world: World): PlanInput {
  return {
    ancestor: treeOf(world.ancestor),
    local: treeOf(world.local, world.unread),
    remote: treeOf(world.remote),
    changed: changedIn(world),
    held: (id) => world.held.has(id),
    refused: (id) => world.refused?.has(id) === true,
    device: world.device,
    localFolds: world.localFolds,
  };
}

function changedIn(world: World): NodeId[] {
  const changed: NodeId[] = [];
  for (const id of new Set([...world.ancestor.keys(), ...world.local.keys(), ...world.remote.keys()])) {
    const agreed = world.ancestor.get(id);
    if (world.unread.has(id) || !isSame(world.local.get(id), agreed) || !isSame(world.remote.get(id), agreed)) changed.push(id);
  }
  return changed;
}

export function isSame(one: TreeNode | undefined, other: TreeNode | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one === other || (isSamePlace(one, other) && isSameContent(one, other) && one.mode === other.mode && one.mtimeUs === other.mtimeUs)
  );
}

export function isSamePlace(one: TreeNode, other: TreeNode): boolean {
  return one.parent === other.parent && one.name === other.name;
}

export function isSameContent(one: TreeNode, other: TreeNode): boolean {
  return one.kind === other.kind && one.content === other.content;
}

export function isInside(nodes: Nodes, id: NodeId, folder: NodeId): boolean {
  for (let at = id; at !== ROOT; at = nodes.get(at)?.parent ?? ROOT) if (at === folder) return true;
  return folder === ROOT;
}

export function isFree(nodes: Nodes, slot: { parent: NodeId; name: string; folds: boolean }, except: NodeId): boolean {
  const key = foldName(slot.name);
  for (const node of nodes.values()) {
    if (node.id === ROOT || node.id === except || node.parent !== slot.parent) continue;
    if (slot.folds ? foldName(node.name) === key : node.name === slot.name) return false;
  }
  return true;
}

function hasChildren(nodes: Nodes, id: NodeId): boolean {
  for (const node of nodes.values()) if (node.id !== ROOT && node.parent === id) return true;
  return false;
}

/** When what was reached is agreed on: at once, part by part; at once, when the node is the same as a whole; or only by `record`. */
export type Recording = 'parts' | 'whole' | 'late';

/**
 * Does what a replica would do, and nothing when something is in the way.
 * @returns why it cannot be done, `null` when it was
 */
export function applyAction(world: World, action: Action, recording: Recording): string | null {
  const refusal = attempt(world, action);
  if (refusal === null && recording !== 'late') recordReached(world, action.id, recording);
  return refusal;
}

function attempt(world: World, action: Action): string | null {
  switch (action.type) {
    case 'adopt':
      return adopt(world, action.id, action.local);
    case 'hash':
      world.unread.delete(action.id);
      return world.local.has(action.id) ? null : 'nothing to read';
    case 'record':
      return record(world, action.id);
    case 'forget':
      world.ancestor.delete(action.id);
      return null;
    case 'set_aside':
      return setAside(world, action.id, action.name);
    case 'make':
    case 'put':
      return create(world, action);
    case 'move':
      return move(world, action);
    case 'replace':
    case 'touch':
      return takeOver(world, action);
    case 'delete':
      return remove(world, action);
  }
}

function adopt(world: World, id: NodeId, local: NodeId): string | null {
  const node = world.local.get(local);
  if (node === undefined || world.local.has(id) || world.remote.has(local)) return 'not a new pair';
  if (node.parent !== world.remote.get(id)?.parent) return 'not in one folder';
  world.local.delete(local);
  world.local.set(id, { ...node, id });
  if (world.unread.delete(local)) world.unread.add(id);
  for (const child of world.local.values()) if (child.parent === local) world.local.set(child.id, { ...child, parent: id });
  return null;
}

function record(world: World, id: NodeId): string | null {
  const node = world.local.get(id);
  if (world.unread.has(id) || !isSame(node, world.remote.get(id))) return 'the sides differ';
  if (node === undefined) world.ancestor.delete(id);
  else world.ancestor.set(id, node);
  return null;
}

function setAside(world: World, id: NodeId, name: string): string | null {
  const node = world.local.get(id);
  if (node === undefined || !isFree(world.local, { parent: node.parent, name, folds: world.localFolds }, id))
    return 'nothing there or name taken';
  world.local.delete(id);
  const copy = world.nextId;
  world.nextId += 1;
  world.local.set(copy, { ...node, id: copy, name });
  if (world.unread.delete(id)) world.unread.add(copy);
  return null;
}

function slotProblem(world: World, side: Side, slot: { id: NodeId; parent: NodeId; name: string }): string | null {
  const nodes = world[side];
  if (nodes.get(slot.parent)?.kind !== 'folder') return 'no such folder';
  return isFree(nodes, { parent: slot.parent, name: slot.name, folds: side === 'remote' || world.localFolds }, slot.id)
    ? null
    : 'name taken';
}

function create(world: World, action: Action & { type: 'make' | 'put' | 'move' }): string | null {
  const { side, id, parent, name } = action;
  const source = world[side === 'local' ? 'remote' : 'local'].get(id);
  if (source === undefined || world[side].has(id)) return 'nothing to take it from, or there already';
  if ((source.kind === 'folder') !== (action.type === 'make')) return 'another kind';
  const problem = slotProblem(world, side, action);
  if (problem !== null) return problem;
  world[side].set(id, { ...source, parent, name });
  world.unread.delete(id);
  return null;
}

function move(world: World, { side, id, parent, name }: Action & { type: 'make' | 'put' | 'move' }): string | null {
  const nodes = world[side];
  const node = nodes.get(id);
  if (node === undefined) return 'nothing there';
  const problem = slotProblem(world, side, { id, parent, name });
  if (problem !== null) return problem;
  if (isInside(nodes, parent, id)) return 'into itself';
  nodes.set(id, { ...node, parent, name });
  return null;
}

function takeOver(world: World, { type, side, id }: Action & { type: 'replace' | 'touch' | 'delete' }): string | null {
  const node = world[side].get(id);
  const source = world[side === 'local' ? 'remote' : 'local'].get(id);
  if (node === undefined || source === undefined) return 'nothing there';
  const { mode, mtimeUs } = source;
  world[side].set(
    id,
    type === 'touch' ? { ...node, mode, mtimeUs } : { ...node, kind: source.kind, content: source.content, mode, mtimeUs },
  );
  if (type === 'replace') world.unread.delete(id);
  return null;
}

function remove(world: World, { side, id }: Action & { type: 'replace' | 'touch' | 'delete' }): string | null {
  if (!world[side].has(id)) return 'nothing there';
  if (hasChildren(world[side], id)) return 'not empty';
  world[side].delete(id);
  return null;
}

/** What is the same on both sides by now, part by part. A node that was never agreed on is, as a whole. */
function recordReached(world: World, id: NodeId, recording: 'parts' | 'whole'): void {
  const local = world.local.get(id);
  const remote = world.remote.get(id);
  if (local === undefined && remote === undefined) world.ancestor.delete(id);
  if (local === undefined || remote === undefined || world.unread.has(id)) return;
  const agreed = world.ancestor.get(id);
  if (isSame(local, remote)) world.ancestor.set(id, local);
  if (agreed === undefined || recording === 'whole' || isSame(local, remote)) return;
  const place = isSamePlace(local, remote) ? local : agreed;
  const content = isSameContent(local, remote) ? local : agreed;
  const attributes = local.mode === remote.mode && local.mtimeUs === remote.mtimeUs ? local : agreed;
  world.ancestor.set(id, {
    id,
    parent: place.parent,
    name: place.name,
    kind: content.kind,
    content: content.content,
    mode: attributes.mode,
    mtimeUs: attributes.mtimeUs,
  });
}

/** @returns what is wrong with a tree as such, `null`: nothing */
export function treeProblem(nodes: Nodes): string | null {
  for (const node of nodes.values()) {
    if (nodes.get(node.parent)?.kind !== 'folder') return `${node.id} is in no folder`;
    const way = new Set<NodeId>();
    for (let at = node.id; at !== ROOT; at = nodes.get(at)?.parent ?? ROOT) {
      if (way.has(at)) return `${node.id} is in a circle`;
      way.add(at);
    }
  }
  return null;
}
