import type { Plan, PlanInput, Stuck } from './actions.ts';
import { decideFates } from './fates.ts';
import { frozenNodes } from './frozen.ts';
import { claimNames } from './name_claims.ts';
import { pairedTree, pairNew } from './pairing.ts';
import { mergePlaces } from './places.ts';
import { makeSteps } from './steps.ts';
import { type NodeId, ROOT, type Tree } from './tree.ts';
import { remembering, type Trees } from './trees.ts';

export type { Action, Conflict, Plan, PlanInput, Side, Stuck } from './actions.ts';

/** What a plan is made of, in this order. Each can be replaced by itself: that is how tests show that each is needed. */
export const STAGES = { pairNew, frozenNodes, mergePlaces, decideFates, claimNames, makeSteps } as const;
export type Stages = typeof STAGES;

/**
 * What must be done so that both sides become one; see docs/decisions/0040-how-two-sides-become-one.md. Its cost grows with what changed, not with the trees.
 * When some of it fails, and what depends on that fails too, nothing is lost: the next plan finds the rest.
 */
export function plan(input: PlanInput): Plan {
  return planWith(STAGES, input);
}

export function planWith(stages: Stages, asked: PlanInput): Plan {
  const ids = idsOf(asked.changed);
  const input: PlanInput = {
    ...asked,
    changed: ids,
    ancestor: { get: remembering(asked.ancestor) },
    local: rememberingTree(asked.local),
    remote: rememberingTree(asked.remote),
  };
  const pairs = stages.pairNew(input);
  const trees: Trees = { ancestor: agreedIn(input), local: pairedTree(input.local, pairs), remote: input.remote };
  const frozen = new Set<NodeId>();
  const hashes = new Set<NodeId>();
  const stuck: Stuck[] = [];
  // what turns out to be unable to move may keep others from moving: decided anew until there is no more of it
  for (;;) {
    const found = new Set<NodeId>();
    const isFrozen = stages.frozenNodes(trees, (id) => frozen.has(id) || input.held(id));
    const places = stages.mergePlaces(trees, ids);
    const needHash = (id: NodeId): void => void hashes.add(id);
    const freeze = (id: NodeId): void => void found.add(id);
    const fates = stages.decideFates(trees, { places, isFrozen, needHash, freeze });
    const claims = stages.claimNames(input, { trees, ids, places, fates, needHash, freeze });
    stuck.push(...claims.stuck);
    const before = frozen.size;
    for (const id of found) frozen.add(id);
    if (frozen.size === before) {
      const steps = stages.makeSteps(input, { trees, ids, pairs, fates, claims, hashes });
      return { steps, conflicts: claims.conflicts, stuck };
    }
    ids.reverse(); // a row of names each waiting for the next is seen whole from one of its ends
  }
}

function idsOf(changed: Iterable<NodeId>): NodeId[] {
  const ids = new Set(changed);
  ids.delete(ROOT);
  return [...ids];
}

/** What the server refuses to change counts as never agreed on: then it is as it is there, and no local change of it can be a wish. */
function agreedIn({ ancestor, remote, refused }: PlanInput): Pick<Tree, 'get'> {
  return { get: (id) => (refused(id) && remote.get(id) !== undefined ? undefined : ancestor.get(id)) };
}

function rememberingTree(tree: Tree): Tree {
  return { get: remembering(tree), children: (parent) => tree.children(parent), named: (parent, key) => tree.named(parent, key) };
}
