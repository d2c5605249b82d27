import { foldName } from '../../../Models/names.ts';
import type { PlanInput } from './actions.ts';
import { type NodeId, ROOT, type Tree, type TreeNode } from './tree.ts';
import { isFolder, sameContent, samePlace } from './trees.ts';

/** What is on both sides under one name without ever having been agreed on: by remote id, and back. */
export type Pairs = { readonly localOf: ReadonlyMap<NodeId, NodeId>; readonly remoteOf: ReadonlyMap<NodeId, NodeId> };

/**
 * Finds what is only local and only remote, in the same folder, under names that fold together, and the same: folders always (their content is
 * paired in turn), leaves when they are equal. Leaves that differ, or were not read yet, are two nodes that want one name.
 */
export function pairNew(input: PlanInput): Pairs {
  const localOf = new Map<NodeId, NodeId>();
  const remoteOf = new Map<NodeId, NodeId>();
  const tried = new Set<NodeId>();

  function localFolderOf(remoteId: NodeId): NodeId | undefined {
    if (remoteId === ROOT || input.local.get(remoteId) !== undefined) return remoteId;
    pair(remoteId);
    return localOf.get(remoteId);
  }

  function pair(id: NodeId): void {
    if (tried.has(id) || input.local.get(id) !== undefined) return;
    tried.add(id);
    const remote = input.remote.get(id);
    if (remote === undefined) return;
    const folder = localFolderOf(remote.parent);
    if (folder === undefined) return;
    const local = bestOf(input.local.named(folder, foldName(remote.name)), remote, input);
    if (local === undefined || isHeld(input.local, local.id, input.held) || isHeld(input.remote, id, input.held)) return;
    localOf.set(id, local.id);
    remoteOf.set(local.id, id);
  }

  for (const id of input.changed) pair(id);
  return { localOf, remoteOf };
}

/** The exact name first, then the lowest id: nothing else could tell which of several siblings is meant. */
function bestOf(candidates: Iterable<TreeNode>, remote: TreeNode, input: PlanInput): TreeNode | undefined {
  let best: TreeNode | undefined;
  for (const local of candidates) {
    if (input.remote.get(local.id) !== undefined || !isSame(local, remote, input)) continue;
    if (best === undefined || rank(local, remote) < rank(best, remote)) best = local;
  }
  return best;
}

function rank(local: TreeNode, remote: TreeNode): number {
  return local.name === remote.name ? -1 : local.id;
}

function isSame(local: TreeNode, remote: TreeNode, input: PlanInput): boolean {
  if (isFolder(local) || isFolder(remote)) return local.kind === remote.kind && canBeOneFolder(local, remote, input);
  return sameContent(local, remote);
}

/**
 * A folder that was agreed on keeps its id: what is in it was agreed to be in it. Unless it is empty, and was deleted there: what could not be
 * deleted here for something in it that is not synced would keep out what is there by now. And one that somebody moved things to, out of the other, is not the other:
 * they would look as if they had never been moved. Nor is one that was moved itself, with all that is in it.
 */
function canBeOneFolder(local: TreeNode, remote: TreeNode, { ancestor, local: tree }: PlanInput): boolean {
  const here = ancestor.get(local.id);
  if (here !== undefined && !(samePlace(local, here) && isEmpty(tree, local.id))) return false;
  const agreed = ancestor.get(remote.id);
  if (agreed === undefined) return true;
  if (!samePlace(remote, agreed)) return false;
  for (const child of tree.children(local.id)) if (ancestor.get(child.id)?.parent === remote.id) return false;
  return true;
}

function isEmpty(tree: Tree, folder: NodeId): boolean {
  for (const _ of tree.children(folder)) return false;
  return true;
}

function isHeld(tree: Tree, id: NodeId, held: (id: NodeId) => boolean): boolean {
  for (let at: NodeId | undefined = id; at !== undefined && at !== ROOT; at = tree.get(at)?.parent) if (held(at)) return true;
  return false;
}

/** The local tree with the ids that what is paired will have. */
export function pairedTree(local: Tree, { localOf, remoteOf }: Pairs): Tree {
  if (localOf.size === 0) return local;
  const localId = (id: NodeId): NodeId | undefined => localOf.get(id) ?? (remoteOf.has(id) ? undefined : id);
  function renamed(node: TreeNode): TreeNode {
    const id = remoteOf.get(node.id);
    const parent = remoteOf.get(node.parent);
    return id === undefined && parent === undefined ? node : { ...node, id: id ?? node.id, parent: parent ?? node.parent };
  }
  function* all(nodes: Iterable<TreeNode>): Iterable<TreeNode> {
    for (const node of nodes) yield renamed(node);
  }
  return {
    get(id) {
      const known = localId(id);
      const node = known === undefined ? undefined : local.get(known);
      return node === undefined ? undefined : renamed(node);
    },
    children(parent) {
      const known = localId(parent);
      return known === undefined ? [] : all(local.children(known));
    },
    named(parent, key) {
      const known = localId(parent);
      return known === undefined ? [] : all(local.named(known, key));
    },
  };
}
