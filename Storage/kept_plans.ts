import { isDeepStrictEqual } from 'node:util';
import { LIMITS } from '../Models/limits.ts';
import type { BackPlan, BackRequest } from './history.ts';
import type { View } from './sql/sql_metadata_view.ts';

/** Long plans of going back, for whoever takes them page by page: the last of each user, for LIMITS.planKeptMs behind its last page. */
export type KeptPlans = {
  /** A plan that one page shows is not kept, and what was kept of the user goes. */
  keep(view: View, request: BackRequest, plan: BackPlan): void;
  /** Null unless just this was kept, and its user can reach the same as then, with the same rights. */
  find(view: View, request: BackRequest, digest: string): BackPlan | null;
};

type Kept = {
  readonly request: BackRequest;
  readonly reach: string;
  readonly plan: BackPlan;
  readonly chars: number;
  readonly lapse: NodeJS.Timeout;
};

/** What a step or conflict takes besides its paths, and more than the names of who did it. */
const ENTRY_CHARS = 256;

/** Paths can be long: how much a plan takes is not said by its length. */
function charsOf({ steps, conflicts }: BackPlan): number {
  let chars = ENTRY_CHARS * (steps.length + conflicts.length);
  for (const { path, fromPath } of steps) chars += path.length + (fromPath?.length ?? 0);
  for (const { path } of conflicts) chars += path.length;
  return chars;
}

/** All of a view but how far the journals have come. */
const reachOf = ({ spaces }: View): string => JSON.stringify(spaces.map(({ id, role, joinedSeq, path }) => [id, role, joinedSeq, path]));

/** @param charsMax of all plans together; those not asked for longest go first */
export function createKeptPlans(charsMax: number = LIMITS.planCharsKeptMax): KeptPlans {
  const byUser = new Map<string, Kept>(); // asked for last comes last
  let chars = 0;
  function forget(userId: string): void {
    const kept = byUser.get(userId);
    if (kept === undefined) return;
    clearTimeout(kept.lapse);
    byUser.delete(userId);
    chars -= kept.chars;
  }
  function remember(userId: string, kept: Omit<Kept, 'lapse'>): void {
    forget(userId);
    for (const other of byUser.keys()) {
      if (chars + kept.chars <= charsMax) break;
      forget(other);
    }
    byUser.set(userId, { ...kept, lapse: setTimeout(() => forget(userId), LIMITS.planKeptMs).unref() });
    chars += kept.chars;
  }
  return {
    keep(view, request, plan) {
      const isOnePage = Math.max(plan.steps.length, plan.conflicts.length) <= LIMITS.pageEntriesDefault;
      const taken = charsOf(plan);
      if (isOnePage || taken > charsMax) forget(view.userId);
      else remember(view.userId, { request, reach: reachOf(view), plan, chars: taken });
    },
    find(view, request, digest) {
      const kept = byUser.get(view.userId);
      if (kept?.plan.digest !== digest || !isDeepStrictEqual(kept.request, request) || kept.reach !== reachOf(view)) return null;
      remember(view.userId, kept);
      return kept.plan;
    },
  };
}
