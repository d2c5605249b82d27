import type { Side } from './actions.ts';
import type { NodeId, Tree, TreeNode } from './tree.ts';

/** The three trees as the planner looks at them: what is paired has one id in all of them. */
export type Trees = { readonly ancestor: Pick<Tree, 'get'>; readonly local: Tree; readonly remote: Tree };

export type Place = { readonly parent: NodeId; readonly name: string };

export const SIDES = ['local', 'remote'] as const satisfies readonly Side[];

export function otherSide(side: Side): Side {
  return side === 'local' ? 'remote' : 'local';
}

export function samePlace(one: Place, other: Place): boolean {
  return one.parent === other.parent && one.name === other.name;
}

export function isFolder(node: TreeNode): boolean {
  return node.kind === 'folder';
}

/** Content that was not read equals nothing. */
export function sameContent(one: TreeNode, other: TreeNode): boolean {
  return one.kind === other.kind && one.content !== null && one.content === other.content;
}

export function sameAttributes(one: TreeNode, other: TreeNode): boolean {
  return one.mode === other.mode && one.mtimeUs === other.mtimeUs;
}

const REMEMBERED_MAX = 4096; // nodes: enough for the questions about one and what is around it

/** Asks the tree only once for what was asked for lately: each node is looked at several times in a row. */
export function remembering(tree: Pick<Tree, 'get'>): Tree['get'] {
  const known = new Map<NodeId, TreeNode | undefined>();
  return (id) => {
    const node = known.get(id);
    if (node !== undefined || known.has(id)) return node;
    if (known.size >= REMEMBERED_MAX) known.clear();
    const found = tree.get(id);
    known.set(id, found);
    return found;
  };
}
