import type { Action, Plan, PlanInput } from '../core/actions.ts';
import { conflictProblem, endProblem, expectationOf, lateExpectationOf } from './plan_oracle.ts';
import { applyAction, copyWorld, inputOf, isInside, type Recording, type World } from './plan_world.ts';

export type Planner = (input: PlanInput) => Plan;

export type RunOptions = {
  readonly planner: Planner;
  /** The order in which all of a plan is done. */
  readonly arrange: (steps: Plan['steps']) => readonly Action[];
  /** Whether this action fails now, without having done anything. */
  readonly fails: (round: number) => boolean;
  readonly recording: Recording;
  /** Rounds in which actions may fail and nodes are held; then all goes well. */
  readonly troubled: number;
  /** What people do after this troubled round. @returns whether they did anything */
  readonly meanwhile?: (world: World, round: number) => boolean;
};

export type Run = {
  readonly problem: string | null;
  readonly rounds: number;
  readonly conflicts: number;
  readonly stuck: boolean;
  readonly world: World;
};

const ROUNDS_MAX = 20;

/** Plans and applies until there is nothing more to do, and looks for everything that must not be. The world given is not changed. */
export function runToEnd(start: World, options: RunOptions): Run {
  const world = copyWorld(start);
  let expected = expectationOf(world);
  let conflicts = 0;
  for (let round = 0; round < options.troubled + ROUNDS_MAX; round += 1) {
    const troubled = round < options.troubled;
    if (!troubled) world.held.clear();
    const plan = options.planner(inputOf(world));
    const end = (problem: string | null): Run => ({ problem, rounds: round, conflicts, stuck: plan.stuck.length > 0, world });
    for (const conflict of plan.conflicts) {
      const problem = conflictProblem(world, conflict);
      if (problem !== null) return end(problem);
    }
    conflicts += plan.conflicts.length;
    if (conflicts > 0 && expected.exactly !== null) return end('a conflict although only one side changed');
    if (plan.steps.length === 0 && !troubled) {
      // a copy that got its name before everything stopped has been moved, as far as anybody can tell, and a move beats a delete
      const mayComeBack = options.troubled > 0 && conflicts > 0;
      return end(endProblem(world, mayComeBack ? { ...expected, vanishes: new Set() } : expected, plan.stuck.length > 0));
    }
    const problem = applyPlan(world, plan, { ...options, fails: () => troubled && options.fails(round) });
    if (problem !== null) return end(problem);
    if (troubled && options.meanwhile?.(world, round)) expected = lateExpectationOf(world);
  }
  return { problem: `no end after ${ROUNDS_MAX} plans`, rounds: ROUNDS_MAX, conflicts, stuck: false, world };
}

function applyPlan(
  world: World,
  plan: Plan,
  { arrange, fails, recording }: { arrange: RunOptions['arrange']; fails: () => boolean; recording: Recording },
): string | null {
  let failures = 0;
  for (const action of arrange(plan.steps)) {
    const problem = heldProblem(world, action);
    if (problem !== null) return problem;
    const refusal = fails() ? 'it failed' : applyAction(world, action, recording);
    if (refusal === null) continue;
    if (action.type === 'forget' || action.type === 'adopt') return null; // nothing may come after it
    if (refusal !== 'it failed' && failures === 0) return `${JSON.stringify(action)}: ${refusal}`;
    failures += 1;
  }
  return null;
}

/** What is done here first, then what goes up, then what comes down: another order that a plan must bear. */
export function localFirst(steps: Plan['steps']): Action[] {
  const all = steps.flat();
  const turn = (action: Action): number => {
    if (!('side' in action)) return 0;
    if (action.side === 'remote') return 1;
    return action.type === 'put' || action.type === 'replace' ? 2 : 0;
  };
  return all
    .map((action, at) => ({ action, at }))
    .sort((one, other) => turn(one.action) - turn(other.action) || one.at - other.at)
    .map(({ action }) => action);
}

function heldProblem(world: World, action: Action): string | null {
  for (const id of world.held) {
    for (const nodes of [world.local, world.remote]) {
      if (nodes.has(action.id) && isInside(nodes, action.id, id)) return `held, or below what is held: ${JSON.stringify(action)}`;
    }
  }
  return null;
}
