import { assertNever } from '../../../Models/errors.ts';
import { foldName } from '../../../Models/names.ts';
import type { Action, PlanInput, Side } from './actions.ts';
import type { Fate, Fates } from './fates.ts';
import type { NameClaims } from './name_claims.ts';
import type { Pairs } from './pairing.ts';
import { orderSide, type Placement } from './side_order.ts';
import { type NodeId, ROOT, type TreeNode } from './tree.ts';
import { isFolder, otherSide, type Place, SIDES, sameAttributes, sameContent, samePlace, type Trees } from './trees.ts';

/** What is to be done, by kind; the order comes after. */
type Work = {
  readonly placements: Record<Side, Map<NodeId, Placement>>;
  readonly deleted: Record<Side, NodeId[]>;
  /** What is only to be known. */
  readonly records: Action[];
  /** Of leaves, once everything has its place. */
  readonly contents: Action[];
  /** Of folders, once everything in them is done: that changes their time. */
  readonly folderTouches: Action[];
};

/** Each node's fate as actions, in the order in which they must run. */
export function makeSteps(
  input: PlanInput,
  decided: { trees: Trees; ids: readonly NodeId[]; pairs: Pairs; fates: Fates; claims: NameClaims; hashes: ReadonlySet<NodeId> },
): Action[][] {
  const { trees, ids, pairs, fates, claims, hashes } = decided;
  const work: Work = {
    placements: { local: new Map(), remote: new Map() },
    deleted: { local: [], remote: [] },
    records: [],
    contents: [],
    folderTouches: [],
  };
  for (const id of ids) collect(id, work, { input, trees, fates, claims });

  const [local, remote] = SIDES.map((side) =>
    orderSide(side, trees[side], {
      placements: work.placements[side],
      setAside: side === 'local' ? claims.copies : new Map(),
      deleted: work.deleted[side],
      fates,
      isOneName: (name, other) => name === other || side === 'remote' || (input.localFolds && foldName(name) === foldName(other)),
    }),
  );
  if (local === undefined || remote === undefined) return [];
  const known = [...[...hashes].map((id): Action => ({ type: 'hash', id })), ...work.records];
  const steps = [
    ...adoptions(pairs, trees),
    known,
    ...together(local.levels, remote.levels),
    [...local.puts, ...remote.puts, ...work.contents],
    ...together(local.deletes, remote.deletes),
    work.folderTouches,
  ];
  return steps.filter((step) => step.length > 0);
}

/** Folders before what is in them: with the folder left behind, what was adopted would seem to have been moved there. */
function adoptions({ localOf }: Pairs, { remote }: Trees): Action[][] {
  const levels: Action[][] = [];
  const levelOf = new Map<NodeId, number>();
  for (const [id, local] of localOf) {
    // a folder is paired before what is in it
    const level = (levelOf.get(remote.get(id)?.parent ?? ROOT) ?? -1) + 1;
    levelOf.set(id, level);
    while (levels.length <= level) levels.push([]);
    levels[level]?.push({ type: 'adopt', id, local });
  }
  return levels;
}

type Decided = { readonly input: PlanInput; readonly trees: Trees; readonly fates: Fates; readonly claims: NameClaims };

function collect(id: NodeId, work: Work, decided: Decided): void {
  const { trees, fates } = decided;
  const fate = fates(id);
  switch (fate.type) {
    case 'still':
      return;
    case 'gone':
      if (trees.ancestor.get(id) !== undefined) work.records.push({ type: 'record', id });
      return;
    case 'dies':
      work.deleted[fate.side].push(id);
      return;
    case 'lives':
      collectLiving(id, fate, work, decided);
      return;
    default:
      assertNever(fate);
  }
}

function collectLiving(id: NodeId, fate: Fate & { type: 'lives' }, work: Work, { input, trees, claims }: Decided): void {
  const local = trees.local.get(id);
  const remote = trees.remote.get(id);
  const agreed = trees.ancestor.get(id);
  // a file that was set aside must not look as if it had been deleted here
  const forgets = fate.rescued || (fate.content === 'twice' && input.refused(id));
  if (forgets && input.ancestor.get(id) !== undefined) work.records.push({ type: 'forget', id });
  const there = { local: fate.content === 'twice' ? undefined : local, remote };
  const what = remote ?? local;
  if (what === undefined) return;
  let changes = 0;
  for (const side of SIDES) {
    const placement = placementOf(side, there[side], what, claims.placeOf(id));
    if (placement === null) continue;
    work.placements[side].set(id, placement);
    changes += 1;
  }
  if (there.local !== undefined && there.remote !== undefined) {
    const taken = takeOver(id, fate, isFolder(what));
    if (taken !== null) {
      (taken.late ? work.folderTouches : work.contents).push(taken.action);
      changes += 1;
    }
    if (changes === 0 && !isAgreed(there.local, agreed)) work.records.push({ type: 'record', id });
  }
}

function placementOf(side: Side, node: TreeNode | undefined, { id, kind }: TreeNode, { parent, name }: Place): Placement | null {
  if (node === undefined) return { type: kind === 'folder' ? 'make' : 'put', side, id, parent, name };
  return samePlace(node, { parent, name }) ? null : { type: 'move', side, id, parent, name };
}

function takeOver(
  id: NodeId,
  fate: { readonly content: Side | 'twice' | null; readonly attributes: Side | null },
  folder: boolean,
): { action: Action; late: boolean } | null {
  if (fate.content === 'local' || fate.content === 'remote')
    return { action: { type: 'replace', side: otherSide(fate.content), id }, late: false };
  if (fate.attributes !== null) return { action: { type: 'touch', side: otherSide(fate.attributes), id }, late: folder };
  return null;
}

function isAgreed(node: TreeNode, agreed: TreeNode | undefined): boolean {
  return agreed !== undefined && samePlace(node, agreed) && sameContent(node, agreed) && sameAttributes(node, agreed);
}

/** What is first on one side runs with what is first on the other. */
function together(local: readonly (readonly Action[])[], remote: readonly (readonly Action[])[]): Action[][] {
  const steps: Action[][] = [];
  for (let n = 0; n < Math.max(local.length, remote.length); n += 1) steps.push([...(local[n] ?? []), ...(remote[n] ?? [])]);
  return steps;
}
