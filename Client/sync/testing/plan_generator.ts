import { type NodeId, ROOT, type TreeNode } from '../core/tree.ts';
import { type Deed, type History, perform, worldOf } from './plan_history.ts';
import type { Random } from './plan_random.ts';
import type { Nodes, World } from './plan_world.ts';

const NAMES = ['a', 'A', '\u00e1', 'a\u0301', 'b', 'B', '\u00df', 'ss', 'x.txt'];
const CONTENTS = ['', '11', '22', '33'].map((tail) => `c0ffee${tail}`); // the same one may be written on both sides, or twice
const NODES_MAX = 25;
const DEPTH_MAX = 4;

/** Which of the possible things happen, and how often: drawn for each seed, so that some seeds are all of one kind. */
type Habits = {
  readonly names: readonly string[];
  readonly deeds: readonly Deed['type'][];
  readonly sameContent: number; // share of contents that are not unique
  readonly sameTarget: number; // share of deeds done to what the other side did something to
};

const DEEDS = ['create', 'edit', 'touch', 'move', 'swap', 'delete', 'become'] as const satisfies readonly Deed['type'][];

/** A random tree, changed on both sides. */
export function randomHistory(random: Random): History {
  const habits: Habits = {
    names: random.shuffled(NAMES).slice(0, 2 + random.below(NAMES.length - 1)),
    deeds: [...random.shuffled(DEEDS).slice(0, 2 + random.below(DEEDS.length - 1)), random.pick(DEEDS)],
    sameContent: random.chance(0.5) ? 0 : random.next() * 0.5,
    sameTarget: random.next(),
  };
  const localFolds = random.chance(0.5);
  const deeds: Deed[] = [];
  const ids = { next: ROOT + 1 };
  const shared: Nodes = worldOf({ deeds: [], later: [], unread: [], held: [], localFolds }).ancestor;
  for (let n = random.below(NODES_MAX); n > 0; n -= 1) {
    const deed: Deed = { side: 'both', type: 'create', node: newNode(shared, ids, habits, random) };
    if (perform(shared, deed, true)) deeds.push(deed);
  }
  const trees = { local: new Map(shared), remote: new Map(shared) };
  const touched: NodeId[] = [];
  for (const side of random.shuffled(['local', 'remote'] as const)) {
    const folds = side === 'remote' || localFolds;
    for (let n = random.below(6); n > 0; n -= 1) {
      const deed = randomDeed(trees[side], { side, ids, habits, touched }, random);
      if (deed !== null && perform(trees[side], deed, folds)) deeds.push(deed);
    }
  }
  const local = [...trees.local.keys()];
  const unread = random.chance(0.5) ? [] : local.filter(() => random.chance(0.3));
  const held = random.chance(0.7) ? [] : [...new Set([...local, ...trees.remote.keys()])].filter((id) => id !== ROOT && random.chance(0.1));
  const later: Deed[] = [];
  for (let n = random.chance(0.5) ? 0 : random.below(4); n > 0; n -= 1) {
    const side = random.pick(['local', 'remote'] as const);
    const deed = randomDeed(trees[side], { side, ids, habits, touched }, random);
    if (deed !== null) later.push(deed);
  }
  return { deeds, later, unread, held, localFolds };
}

function randomDeed(
  nodes: Nodes,
  { side, ids, habits, touched }: { side: 'local' | 'remote'; ids: { next: NodeId }; habits: Habits; touched: NodeId[] },
  random: Random,
): Deed | null {
  const type = random.pick(habits.deeds);
  const node = newNode(nodes, ids, habits, random);
  if (type === 'create') return { side, type, node };
  const all = [...nodes.keys()].filter((one) => one !== ROOT);
  const again = touched.filter((one) => nodes.has(one));
  const from = again.length > 0 && random.chance(habits.sameTarget) ? again : all;
  if (from.length === 0) return null;
  const id = random.pick(from);
  const folder = nodes.get(id)?.parent;
  touched.push(id, ...(folder === undefined || folder === ROOT ? [] : [folder]));
  switch (type) {
    case 'edit':
      return { side, type, id, content: contentOf(node.id, habits, random) };
    case 'touch':
      return { side, type, id, mode: 0o600 + random.below(2), mtimeUs: random.below(3) };
    case 'move':
      return { side, type, id, ...randomPlace(nodes, id, node, random) };
    case 'swap':
      return { side, type, id, other: random.pick(all) };
    case 'delete':
      return { side, type, id };
    case 'become': {
      const old = nodes.get(id) ?? node;
      const kind = old.kind === 'folder' ? 'file' : 'folder';
      const content = kind === 'folder' ? '' : contentOf(node.id, habits, random);
      return { side, type, id, node: { ...node, parent: old.parent, name: old.name, kind, content } };
    }
  }
}

/** Elsewhere, or here under another name. */
function randomPlace(nodes: Nodes, id: NodeId, elsewhere: TreeNode, random: Random): { parent: NodeId; name: string } {
  const node = nodes.get(id) ?? elsewhere;
  const choice = random.next();
  if (choice < 0.3) return { parent: node.parent, name: elsewhere.name };
  if (choice < 0.5)
    return { parent: node.parent, name: node.name === node.name.toUpperCase() ? node.name.toLowerCase() : node.name.toUpperCase() };
  return { parent: elsewhere.parent, name: choice < 0.75 ? node.name : elsewhere.name };
}

function newNode(nodes: Nodes, ids: { next: NodeId }, habits: Habits, random: Random): TreeNode {
  const id = ids.next;
  ids.next += 1;
  const folders = [...nodes.values()].filter((node) => node.kind === 'folder' && depthOf(nodes, node.id) < DEPTH_MAX);
  const kind = random.chance(0.5) ? 'folder' : random.chance(0.9) ? 'file' : 'symlink';
  const content = kind === 'folder' ? '' : contentOf(id, habits, random);
  return { id, parent: random.pick(folders).id, name: random.pick(habits.names), kind, content, mode: 0o644, mtimeUs: random.below(3) };
}

function contentOf(id: NodeId, habits: Habits, random: Random): string {
  return random.chance(habits.sameContent) ? random.pick(CONTENTS) : `${id.toString(16).padStart(6, '0')}e${random.below(2 ** 20)}`;
}

function depthOf(nodes: Nodes, id: NodeId): number {
  let depth = 0;
  for (let at = id; at !== ROOT; at = nodes.get(at)?.parent ?? ROOT) depth += 1;
  return depth;
}

export const LABELS = [
  'edit/edit',
  'edit/delete',
  'move/move',
  'move/edit',
  'folder deleted/child changed',
  'create/create',
  'case-only rename',
  'file/folder',
] as const;
export type Label = (typeof LABELS)[number];

/** What meets in a world before anything is planned. */
export function labelsOf(world: World, history: History): Set<Label> {
  const labels = new Set<Label>();
  for (const [id, agreed] of world.ancestor) {
    if (id === ROOT) continue;
    const local = marksOf(world.local, agreed);
    const remote = marksOf(world.remote, agreed);
    if (local.edited && remote.edited) labels.add('edit/edit');
    if ((local.edited && remote.gone) || (remote.edited && local.gone)) labels.add('edit/delete');
    if (local.moved && remote.moved) labels.add('move/move');
    if ((local.moved && remote.edited) || (remote.moved && local.edited)) labels.add('move/edit');
    if (local.recased || remote.recased) labels.add('case-only rename');
    if ((local.gone && remote.filled) || (remote.gone && local.filled)) labels.add('folder deleted/child changed');
  }
  const created = new Set<string>();
  for (const node of world.local.values()) if (!world.ancestor.has(node.id)) created.add(`${node.parent}/${node.name}`);
  for (const node of world.remote.values()) {
    if (!world.ancestor.has(node.id) && created.has(`${node.parent}/${node.name}`)) labels.add('create/create');
  }
  if (history.deeds.some((deed) => deed.type === 'become')) labels.add('file/folder');
  return labels;

  function marksOf(nodes: Nodes, agreed: TreeNode): Record<'gone' | 'edited' | 'moved' | 'recased' | 'filled', boolean> {
    const node = nodes.get(agreed.id);
    const moved = node !== undefined && (node.parent !== agreed.parent || node.name !== agreed.name);
    const recased = moved && node.parent === agreed.parent && node.name.toUpperCase() === agreed.name.toUpperCase();
    const edited = node !== undefined && node.content !== agreed.content;
    const filled = node?.kind === 'folder' && [...nodes.values()].some((child) => child.parent === node.id && isNews(child));
    return { gone: node === undefined, edited, moved, recased, filled };
  }

  function isNews(node: TreeNode): boolean {
    const before = world.ancestor.get(node.id);
    return before === undefined || before.content !== node.content || before.parent !== node.parent;
  }
}
