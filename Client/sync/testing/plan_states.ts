import { foldName } from '../../../Models/names.ts';
import { type NodeId, ROOT, type TreeNode } from '../core/tree.ts';
import { emptyNodes, type Nodes, treeProblem, type World } from './plan_world.ts';

/** What the states are made of. */
export type Alphabet = {
  /** Of node 2, 3, …: in the states of a list each node has its kind in all three trees. */
  readonly kinds: readonly ('file' | 'folder')[];
  readonly names: readonly string[];
  readonly contents: readonly string[];
  /** Local siblings may have names that fold together; otherwise none may. */
  readonly localFolds: boolean;
};

type Symmetry = readonly number[]; // from a tree's position in the list to its image's

/**
 * All states of three trees over an alphabet, but one of those that differ only in which node of a kind is which, which name is which, or which content is
 * which. The planner compares names, contents and ids and does nothing else with them, so it does the same with each of these, but for ids that decide
 * which of two equals is first.
 */
export function* allStates(alphabet: Alphabet): Iterable<World> {
  const local = allTrees(alphabet, alphabet.localFolds);
  const agreed = allTrees(alphabet, true);
  // every tree that may be agreed on may be local: one numbering serves all three
  const number = new Map(local.map((tree, n) => [codeOf(tree), n]));
  const shared = agreed.map((tree) => number.get(codeOf(tree)) ?? 0).sort((one, other) => one - other);
  const symmetries = symmetriesOf(alphabet, local, number);
  for (const a of shared) {
    if (!isFirst(a, symmetries)) continue;
    const keepingA = symmetries.filter((symmetry) => symmetry[a] === a);
    for (const r of shared) {
      if (!isFirst(r, keepingA)) continue;
      const keepingBoth = keepingA.filter((symmetry) => symmetry[r] === r);
      for (let l = 0; l < local.length; l += 1) {
        if (isFirst(l, keepingBoth)) yield worldOf({ ancestor: local[a], remote: local[r], local: local[l] }, alphabet);
      }
    }
  }
}

function isFirst(tree: number, symmetries: readonly Symmetry[]): boolean {
  return symmetries.every((symmetry) => (symmetry[tree] ?? tree) >= tree);
}

function worldOf(trees: { ancestor: Nodes | undefined; local: Nodes | undefined; remote: Nodes | undefined }, alphabet: Alphabet): World {
  return {
    ancestor: trees.ancestor ?? emptyNodes(),
    local: trees.local ?? emptyNodes(),
    remote: trees.remote ?? emptyNodes(),
    unread: new Set(),
    held: new Set(),
    localFolds: alphabet.localFolds,
    device: 'desk',
    nextId: ROOT + 1 + alphabet.kinds.length,
  };
}

function allTrees({ kinds, names, contents }: Alphabet, folds: boolean): Nodes[] {
  let trees = [emptyNodes()];
  kinds.forEach((kind, n) => {
    const id = ROOT + 1 + n;
    const parents = [ROOT, ...kinds.map((other, m) => (other === 'folder' && m !== n ? ROOT + 1 + m : ROOT))];
    const variants: TreeNode[] = [];
    for (const parent of new Set(parents)) {
      for (const name of names) {
        for (const content of kind === 'folder' ? [''] : contents)
          variants.push({ id, parent, name, kind, content, mode: 0o644, mtimeUs: 0 });
      }
    }
    trees = trees.flatMap((tree) => [tree, ...variants.map((node) => new Map(tree).set(id, node))]);
  });
  return trees.filter((tree) => treeProblem(tree) === null && !hasTwins(tree, folds));
}

function hasTwins(tree: Nodes, folds: boolean): boolean {
  const slots = new Set<string>();
  for (const node of tree.values()) if (node.id !== ROOT) slots.add(`${node.parent}/${folds ? foldName(node.name) : node.name}`);
  return slots.size < tree.size - 1;
}

function codeOf(tree: Nodes): string {
  const parts: string[] = [];
  for (const node of tree.values()) parts.push(`${node.id}:${node.parent}:${node.name}:${node.content}`);
  return parts.sort().join(' ');
}

function symmetriesOf(alphabet: Alphabet, trees: readonly Nodes[], number: ReadonlyMap<string, number>): Symmetry[] {
  const found: Symmetry[] = [];
  for (const ids of permutations(alphabet.kinds.map((_, n) => ROOT + 1 + n))) {
    if (ids.some((id, n) => alphabet.kinds[id - ROOT - 1] !== alphabet.kinds[n])) continue;
    for (const names of permutations(alphabet.names)) {
      for (const contents of permutations(alphabet.contents)) {
        found.push(trees.map((tree) => number.get(codeOf(image(tree, { alphabet, ids, names, contents }))) ?? -1));
      }
    }
  }
  return found.filter((symmetry) => !symmetry.includes(-1));
}

function image(
  tree: Nodes,
  to: { alphabet: Alphabet; ids: readonly NodeId[]; names: readonly string[]; contents: readonly string[] },
): Nodes {
  const newId = (id: NodeId): NodeId => to.ids[id - ROOT - 1] ?? ROOT;
  const result = emptyNodes();
  for (const node of tree.values()) {
    if (node.id === ROOT) continue;
    const name = to.names[to.alphabet.names.indexOf(node.name)] ?? node.name;
    const content = node.content === null ? null : (to.contents[to.alphabet.contents.indexOf(node.content)] ?? node.content);
    result.set(newId(node.id), { ...node, id: newId(node.id), parent: newId(node.parent), name, content });
  }
  return result;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, n) => permutations([...items.slice(0, n), ...items.slice(n + 1)]).map((rest) => [item, ...rest]));
}
