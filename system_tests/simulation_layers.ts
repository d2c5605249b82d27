import { LABELS } from '../Client/sync/testing/plan_generator.ts';
import { PLAN_MUTANTS } from '../Client/sync/testing/plan_mutants.ts';
import type { Planner } from '../Client/sync/testing/plan_run.ts';
import { describeFailure, simulateSeed } from '../Client/sync/testing/plan_simulation.ts';
import { ENGINE_SHARES, engineSeeds, SHARING_SHARES, sharingSeeds } from './simulation/engine_layer.ts';
import { ENGINE_MUTANTS, mutantRun } from './simulation/engine_mutants.ts';
import { SHARING_MUTANTS } from './simulation/sharing_mutants.ts';

/** Part of the system that is run with random histories; the same seed is the same run. */
export type Layer = {
  /** @returns what met in the history, and what was wrong with how it ended, as text that tells how to see it again */
  readonly run: (seed: number) => Promise<SeedReport> | SeedReport;
  /** Smallest share of seeds in which each of these must have met: otherwise the histories are too tame to prove anything. */
  readonly shares: ReadonlyMap<string, number>;
};
export type SeedReport = { readonly labels: Iterable<string>; readonly failure: string | null };

/** Something with one mistake. A layer that does not find it is not good enough. */
export type Mutant = {
  readonly name: string;
  readonly mistake: string;
  readonly seeds: number; // within which it must be found
  readonly run: Layer['run'];
};

function planRun(planner?: Planner): (seed: number) => SeedReport {
  return (seed) => {
    const { labels, failure } = simulateSeed(seed, planner);
    return { labels, failure: failure === null ? null : describeFailure(failure) };
  };
}

export const LAYERS: Readonly<Record<string, Layer>> = {
  plan: { run: planRun(), shares: new Map(LABELS.map((label) => [label, 0.01])) },
  engine: { run: engineSeeds(), shares: ENGINE_SHARES },
  /** Those of the engine layer in which two users share folders. */
  sharing: { run: sharingSeeds(), shares: SHARING_SHARES },
};

const planMutants = PLAN_MUTANTS.map(({ name, mistake, planner }) => ({ name, mistake, seeds: 20_000, run: planRun(planner) }));
const engineMutants = [...ENGINE_MUTANTS, ...SHARING_MUTANTS].map((mutant) => ({
  name: mutant.name,
  mistake: mutant.mistake,
  seeds: mutant.tries.length,
  run: mutantRun(mutant),
}));
export const MUTANTS: readonly Mutant[] = [...planMutants, ...engineMutants];
