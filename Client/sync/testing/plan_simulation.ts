import { plan } from '../core/plan.ts';
import { type Label, labelsOf, randomHistory } from './plan_generator.ts';
import { type History, perform, worldOf } from './plan_history.ts';
import { describeWorld } from './plan_oracle.ts';
import { type Random, randomFrom } from './plan_random.ts';
import { localFirst, type Planner, runToEnd } from './plan_run.ts';
import type { Recording } from './plan_world.ts';

/** How a seed's history is carried out. */
export type Conduct = {
  readonly recording: Recording;
  readonly order: 'steps' | 'local first';
  readonly troubled: number; // plans
  readonly failureRate: number;
};

export type PlanFailure = {
  readonly seed: number;
  readonly problem: string;
  readonly conduct: Conduct;
  /** The shortest that still fails. */
  readonly history: History;
};

export type SeedResult = { readonly labels: ReadonlySet<Label>; readonly failure: PlanFailure | null };

/** One random history with random trouble, to the end. The same seed is the same run. */
export function simulateSeed(seed: number, planner: Planner = plan): SeedResult {
  const random = randomFrom(seed);
  const history = randomHistory(random);
  const conduct: Conduct = {
    recording: random.pick(['parts', 'whole', 'late'] as const),
    order: random.pick(['steps', 'local first'] as const),
    troubled: random.chance(0.5) ? 0 : 1 + random.below(3),
    failureRate: random.next() * 0.5,
  };
  const world = worldOf(history);
  const problem = problemOf(history, conduct, seed, planner);
  const failure = problem === null ? null : minimised({ seed, problem, conduct, history }, planner);
  return { labels: labelsOf(world, history), failure };
}

function problemOf(history: History, conduct: Conduct, seed: number, planner: Planner): string | null {
  const random: Random = randomFrom(~seed);
  try {
    return runToEnd(worldOf(history), {
      planner,
      arrange(steps) {
        const shuffled = steps.map((step) => random.shuffled(step));
        return conduct.order === 'steps' ? shuffled.flat() : localFirst(shuffled);
      },
      fails: () => random.chance(conduct.failureRate),
      recording: conduct.recording,
      troubled: conduct.troubled,
      meanwhile(world, round) {
        const deed = history.later[round];
        if (deed === undefined || deed.side === 'both') return false;
        const done = perform(world[deed.side], deed, deed.side === 'remote' || world.localFolds);
        for (const id of world.unread) if (!world.local.has(id)) world.unread.delete(id);
        return done;
      },
    }).problem;
  } catch (error) {
    return `the planner threw: ${String(error)}`;
  }
}

/** Leaves out one thing after the other, for as long as something fails. */
function minimised(failure: PlanFailure, planner: Planner): PlanFailure {
  let best = failure;
  for (let shorter = true; shorter; ) {
    shorter = false;
    for (const candidate of shorterOnes(best)) {
      const problem = problemOf(candidate.history, candidate.conduct, failure.seed, planner);
      if (problem === null) continue;
      best = { ...candidate, problem };
      shorter = true;
      break;
    }
  }
  return best;
}

function* shorterOnes(failure: PlanFailure): Iterable<PlanFailure> {
  const { history, conduct } = failure;
  if (conduct.troubled > 0) yield { ...failure, conduct: { ...conduct, troubled: conduct.troubled - 1 } };
  for (const part of ['later', 'deeds', 'unread', 'held'] as const) {
    for (let n = history[part].length - 1; n >= 0; n -= 1) {
      yield { ...failure, history: { ...history, [part]: history[part].filter((_, at) => at !== n) } };
    }
  }
}

/** For a person who wants to see it again. */
export function describeFailure({ seed, problem, conduct, history }: PlanFailure): string {
  const { deeds, later, ...rest } = history;
  const lines = [`seed ${seed}: ${problem}`, JSON.stringify(conduct), JSON.stringify(rest)];
  for (const deed of deeds) lines.push(`  ${JSON.stringify(deed)}`);
  for (const deed of later) lines.push(`  later: ${JSON.stringify(deed)}`);
  return `${lines.join('\n')}\n${describeWorld(worldOf(history))}`;
}
