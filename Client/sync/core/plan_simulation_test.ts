import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../../Models/testing/test_seed.ts';
import { LABELS } from '../testing/plan_generator.ts';
import { PLAN_MUTANTS } from '../testing/plan_mutants.ts';
import { describeFailure, simulateSeed } from '../testing/plan_simulation.ts';
import { plan } from './plan.ts';

const SECONDS = 60;
const MUTANT_SEEDS = 20_000;
const SHARE_MIN = 0.01;

test('random histories with trouble on the way end with both sides the same, and nothing lost', (t) => {
  const first = testSeed('random histories');
  const endMs = performance.now() + SECONDS * 1000;
  const counts = new Map<string, number>();
  let seeds = 0;
  for (; performance.now() < endMs; seeds += 1) {
    const { labels, failure } = simulateSeed(first + seeds, plan);
    assert.equal(failure, null, failure === null ? '' : describeFailure(failure));
    for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  t.diagnostic(`seeds ${first} to ${first + seeds - 1}, ${Math.round(seeds / SECONDS)} a second`);
  for (const label of LABELS)
    assert.ok((counts.get(label) ?? 0) >= seeds * SHARE_MIN, `too few histories with ${label}: ${counts.get(label)} of ${seeds}`);
});

test('the same seed is the same history', () => {
  assert.deepEqual(simulateSeed(7, plan), simulateSeed(7, plan));
});

for (const { name, mistake, planner } of PLAN_MUTANTS) {
  test(`a planner with the mistake "${mistake}" is found out (${name})`, () => {
    let seed = 0;
    while (seed < MUTANT_SEEDS && simulateSeed(seed, planner).failure === null) seed += 1;
    assert.ok(seed < MUTANT_SEEDS, `not within ${MUTANT_SEEDS} seeds`);
  });
}
