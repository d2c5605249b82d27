import { foldName } from '../../../Models/names.ts';
import type { Conflict } from '../core/actions.ts';
import { ROOT, type TreeNode } from '../core/tree.ts';
import { isSame, isSameContent, isSamePlace, type Nodes, treeProblem, type World } from './plan_world.ts';

/** What must be true at the end, known from the beginning alone. */
export type Expectation = {
  /** Contents that nobody who had seen them replaced or deleted. */
  readonly survives: ReadonlySet<string>;
  /** Contents that were deleted or replaced on one side while the other left them alone. */
  readonly vanishes: ReadonlySet<string>;
  /** Only one side changed: that is how it all must look. */
  readonly exactly: string | null;
};

function keyOf(node: TreeNode): string {
  return `${node.kind}:${node.content}`;
}

export function expectationOf(world: World): Expectation {
  const survives = new Set<string>();
  const vanishes = new Set<string>();
  for (const id of new Set([...world.ancestor.keys(), ...world.local.keys(), ...world.remote.keys()])) {
    const agreed = world.ancestor.get(id);
    const sides = [world.local.get(id), world.remote.get(id)];
    const kept = sides.filter((node) => node !== undefined).filter((node) => agreed === undefined || !isSameContent(node, agreed));
    for (const node of kept) if (node.kind !== 'folder') survives.add(keyOf(node));
    if (agreed === undefined || agreed.kind === 'folder') continue;
    (isAgreedContentKept(world, agreed) ? survives : vanishes).add(keyOf(agreed));
  }
  for (const key of survives) vanishes.delete(key);
  return { survives, vanishes, exactly: onlyChange(world) };
}

/** The same in the middle of it all: what was moved may have been by us, so only content tells what people did. */
export function lateExpectationOf(world: World): Expectation {
  const survives = new Set<string>();
  for (const nodes of [world.local, world.remote]) {
    for (const node of nodes.values()) {
      const agreed = world.ancestor.get(node.id);
      const other = (nodes === world.local ? world.remote : world.local).get(node.id);
      const isNews = agreed === undefined || !isSameContent(node, agreed);
      if (node.kind !== 'folder' && (isNews || (other !== undefined && isSameContent(node, other)))) survives.add(keyOf(node));
    }
  }
  return { survives, vanishes: new Set(), exactly: null };
}

/** Not edited anywhere; and either still on both sides, or moved on the one that has it, by itself or with a folder that the other deleted too. */
function isAgreedContentKept(world: World, agreed: TreeNode): boolean {
  const local = world.local.get(agreed.id);
  const remote = world.remote.get(agreed.id);
  if (local !== undefined && remote !== undefined) return isSameContent(local, agreed) && isSameContent(remote, agreed);
  const [here, there] = local === undefined ? [world.remote, world.local] : [world.local, world.remote];
  const only = here.get(agreed.id);
  if (only === undefined || !isSameContent(only, agreed)) return false;
  for (let node: TreeNode | undefined = only; node !== undefined && !there.has(node.id); node = here.get(node.parent)) {
    const before = world.ancestor.get(node.id);
    if (before === undefined) return false;
    if (!isSamePlace(node, before)) return true;
  }
  return false;
}

function onlyChange(world: World): string | null {
  if (isSameTree(world.local, world.ancestor)) return pathsOf(world.remote);
  if (isSameTree(world.remote, world.ancestor) && !hasFoldingSiblings(world.local)) return pathsOf(world.local);
  return null;
}

/** All there is to see from outside: ids are not. */
function pathsOf(nodes: Nodes): string {
  const pathOf = (node: TreeNode): string => (node.id === ROOT ? '' : `${pathOf(nodes.get(node.parent) ?? node)}/${node.name}`);
  const lines: string[] = [];
  for (const node of nodes.values()) lines.push(`${pathOf(node)} ${node.kind} ${node.content} ${node.mode} ${node.mtimeUs}`);
  return lines.sort().join('\n');
}

function isSameTree(one: Nodes, other: Nodes): boolean {
  if (one.size !== other.size) return false;
  for (const [id, node] of one) if (!isSame(node, other.get(id))) return false;
  return true;
}

function hasFoldingSiblings(nodes: Nodes): boolean {
  const seen = new Set<string>();
  for (const node of nodes.values()) {
    const slot = `${node.parent}/${foldName(node.name)}`;
    if (node.id !== ROOT && seen.has(slot)) return true;
    seen.add(slot);
  }
  return false;
}

/** @returns what a conflict gets wrong about the state it was found in, `null`: nothing */
export function conflictProblem(world: World, conflict: Conflict): string | null {
  if (!conflict.copyName.includes(`(conflict from ${world.device} `)) return `a copy without its device: ${conflict.copyName}`;
  const local = world.local.get(conflict.id);
  // nothing local: it was under way to another name when everything stopped, and that name is gone
  const node = local ?? world.remote.get(conflict.id);
  if (node === undefined) return `conflict of ${conflict.id}, which is nowhere`;
  if (node.kind === 'file' && !conflict.copyName.includes(` ${node.content?.slice(0, 6)}`))
    return `a copy without its version: ${conflict.copyName}`;
  const remote = world.remote.get(conflict.id);
  const agreed = world.ancestor.get(conflict.id);
  if (conflict.kind === 'edited_twice') {
    if (local === undefined || remote === undefined || isSameContent(local, remote)) return `${conflict.id} does not differ`;
    if (agreed !== undefined && (isSameContent(local, agreed) || isSameContent(remote, agreed)))
      return `${conflict.id} was edited on one side only`;
  }
  const twin = remote === undefined && local !== undefined ? twinOf(world, local) : undefined;
  return twin === undefined ? null : `${conflict.id} and ${twin.id} are the same`;
}

/** What is only remote and, where it is and what it is, the same as something that is only local and was never agreed on. */
function twinOf(world: World, local: TreeNode): TreeNode | undefined {
  if (world.ancestor.has(local.id)) return undefined;
  for (const node of world.remote.values()) {
    if (world.local.has(node.id) || world.ancestor.has(node.id) || node.parent !== local.parent) continue;
    if (foldName(node.name) === foldName(local.name) && isSameContent(node, local)) return node;
  }
  return undefined;
}

/** @returns what is wrong at the end, `null`: nothing. @param stuck something stays as it is: then the sides need not be the same */
export function endProblem(world: World, expected: Expectation, stuck: boolean): string | null {
  const present = new Set<string>();
  for (const nodes of [world.local, world.remote]) for (const node of nodes.values()) present.add(keyOf(node));
  for (const key of expected.survives) if (!present.has(key)) return `lost: ${key}`;
  for (const nodes of [world.local, world.remote]) {
    const problem = treeProblem(nodes);
    if (problem !== null) return problem;
  }
  if (hasFoldingSiblings(world.remote)) return 'siblings with one name on the remote side';
  if (stuck) return null;
  if (!isSameTree(world.local, world.remote)) return 'the sides differ';
  if (!isSameTree(world.local, world.ancestor)) return 'not recorded';
  for (const key of expected.vanishes) if (present.has(key)) return `came back: ${key}`;
  if (expected.exactly !== null && pathsOf(world.local) !== expected.exactly) return 'not what the only change made';
  return null;
}

/** Contents of all leaves, once each. */
export function contentsOf(world: World): string[] {
  const contents = [...world.local.values(), ...world.remote.values()].filter((node) => node.kind !== 'folder').map(keyOf);
  return [...new Set(contents)].sort();
}

/** For messages: `id@parent/name=content`. */
export function describeWorld(world: World): string {
  const trees = (['ancestor', 'local', 'remote'] as const).map((name) => {
    const nodes = [...world[name].values()].filter((node) => node.id !== ROOT);
    return `${name}: ${nodes.map((node) => `${node.id}@${node.parent}/${node.name}${node.kind === 'folder' ? '/' : `=${node.content}`}`).join(' ')}`;
  });
  return [...trees, `unread: ${[...world.unread]}`, `held: ${[...world.held]}`, `local folds: ${world.localFolds}`].join('\n');
}
