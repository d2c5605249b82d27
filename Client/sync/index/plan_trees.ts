import { foldName } from '../../../Models/names.ts';
import type { NodeId, Tree, TreeNode } from '../core/tree.ts';

type Agreed = {
  get(id: NodeId): TreeNode | undefined;
  children(parent: NodeId, atMost?: number): TreeNode[];
  named(parent: NodeId, key: string): TreeNode[];
};
/** `null`: gone on this side. */
type Overlay = readonly (readonly [NodeId, TreeNode | null])[];

export type PlanTrees = {
  readonly ancestor: Pick<Tree, 'get'>;
  readonly local: Tree;
  readonly remote: Tree;
  readonly changed: readonly NodeId[];
  /** Not all that differs is in `changed`: only some of what is new on one side, folders before what is in them. */
  readonly partial: boolean;
};
type Side = { get(id: NodeId): TreeNode | undefined; children(parent: NodeId): TreeNode[]; named(parent: NodeId, key: string): TreeNode[] };

/**
 * The trees as a plan looks at them: what differs is held in memory, what was agreed is asked for once. So planning costs memory for what
 * changed, and few questions to the database.
 */
export function planTrees(
  agreed: Agreed,
  { differing, local, remote }: { differing: readonly TreeNode[]; local: Overlay; remote: Overlay },
): PlanTrees {
  const asked = new Map<NodeId, TreeNode | undefined>(differing.map((node) => [node.id, node]));
  const changed = [...new Set([...local, ...remote].map(([id]) => id))].sort((a, b) => a - b);
  for (const id of changed) if (!asked.has(id)) asked.set(id, undefined);
  const get = (id: NodeId): TreeNode | undefined => {
    if (asked.has(id)) return asked.get(id);
    const node = agreed.get(id);
    asked.set(id, node);
    return node;
  };
  const ancestor = { ...agreed, get, named: namedAmongFew(agreed, [...local, ...remote]) };
  return { ancestor, local: sideTree(ancestor, local), remote: sideTree(ancestor, remote), changed, partial: false };
}

/**
 * The same where so much is new that it would not fit into memory: what is not asked about stays in the database. Something new needs nothing
 * decided about what else is new, but about the folders above it.
 */
export function partialTrees(
  ancestor: Pick<Side, 'get'>,
  { local, remote }: { local: Side; remote: Side },
  changed: readonly NodeId[],
): PlanTrees {
  const remembering = (side: Side): Tree => {
    const asked = new Map<NodeId, TreeNode | undefined>();
    return {
      ...side,
      get(id) {
        if (asked.has(id)) return asked.get(id);
        const node = side.get(id);
        asked.set(id, node);
        return node;
      },
    };
  };
  return { ancestor, local: remembering(local), remote: remembering(remote), changed, partial: true };
}

function sideTree(agreed: Agreed, overlay: Overlay): Tree {
  const over = new Map<NodeId, TreeNode | null>(overlay);
  const byParent = new Map<NodeId, TreeNode[]>();
  const byName = new Map<string, TreeNode[]>();
  for (const [, node] of overlay) {
    if (node === null) continue;
    add(byParent, node.parent, node);
    add(byName, nameKey(node.parent, foldName(node.name)), node);
  }
  /** A folder that was never agreed has nothing in it that was. */
  const below = (parent: NodeId, found: () => TreeNode[]): TreeNode[] =>
    agreed.get(parent) === undefined ? [] : found().filter(({ id }) => !over.has(id));
  return {
    get(id) {
      const own = over.get(id);
      return own === undefined ? agreed.get(id) : (own ?? undefined);
    },
    children: (parent) => [...below(parent, () => agreed.children(parent)), ...(byParent.get(parent) ?? [])],
    named: (parent, key) => [...below(parent, () => agreed.named(parent, key)), ...(byName.get(nameKey(parent, key)) ?? [])],
  };
}

/** In a folder in which more differs than was agreed, what was is asked for once: a name at a time would be a question for each that is new. */
function namedAmongFew(agreed: Agreed, overlay: Overlay): Agreed['named'] {
  const differing = new Map<NodeId, number>();
  for (const [, node] of overlay) if (node !== null) differing.set(node.parent, (differing.get(node.parent) ?? 0) + 1);
  const asked = new Map<NodeId, Map<string, TreeNode[]> | null>(); // `null`: too many
  const ask = (parent: NodeId): Map<string, TreeNode[]> | null => {
    const atMost = differing.get(parent) ?? 0;
    const found = agreed.children(parent, atMost + 1);
    if (found.length > atMost) return null;
    const byName = new Map<string, TreeNode[]>();
    for (const node of found) add(byName, foldName(node.name), node);
    return byName;
  };
  return (parent, key) => {
    let known = asked.get(parent);
    if (known === undefined) {
      known = ask(parent);
      asked.set(parent, known);
    }
    return known === null ? agreed.named(parent, key) : (known.get(key) ?? []);
  };
}

const nameKey = (parent: NodeId, key: string): string => `${parent}/${key}`;

function add<K, T>(map: Map<K, T[]>, key: K, value: T): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
