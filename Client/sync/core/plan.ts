import type { Plan, PlanInput, Stuck } from './actions.ts';
import { decideFates } from './fates.ts';
import { frozenNodes } from './frozen.ts';
import { claimNames } from './name_claims.ts';
import { pairedTree, pairNew } from './pairing.ts';
import { mergePlaces } from './places.ts';
import { idsOf, makeSteps } from './steps.ts';
import type { NodeId } from './tree.ts';
import type { Trees } from './trees.ts';

export type { Action, Conflict, Plan, PlanInput, Side, Stuck } from './actions.ts';

/**
 * What must be done so that both sides become one; see docs/decisions/0040-how-two-sides-become-one.md. Its cost grows with what changed, not with the trees.
 * When some of it fails, and what depends on that fails too, nothing is lost: the next plan finds the rest.
 */
export function plan(input: PlanInput): Plan {
  const ids = idsOf(input.changed);
  const pairs = pairNew({ ...input, changed: ids });
  const trees: Trees = { ancestor: input.ancestor, local: pairedTree(input.local, pairs), remote: input.remote };
  const frozen = new Set<NodeId>();
  const hashes = new Set<NodeId>();
  const stuck: Stuck[] = [];
  // whatever turns out to be unable to move may keep others from moving: decided anew until there is no more of it
  for (;;) {
    const isFrozen = frozenNodes(trees, (id) => frozen.has(id) || input.held(id));
    const places = mergePlaces(trees, ids);
    const fates = decideFates(trees, { places, isFrozen, needHash: (id) => hashes.add(id) });
    const claims = claimNames(input, { trees, ids, places, fates });
    for (const id of claims.hashes) hashes.add(id);
    stuck.push(...claims.stuck);
    if (claims.frozen.length === 0) {
      const steps = makeSteps(input, { trees, ids, pairs, fates, claims, hashes });
      return { steps, conflicts: claims.conflicts, stuck };
    }
    for (const id of claims.frozen) frozen.add(id);
  }
}
