import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentsOf, describeWorld } from '../testing/plan_oracle.ts';
import { localFirst, type RunOptions, runToEnd } from '../testing/plan_run.ts';
import { type Alphabet, allStates } from '../testing/plan_states.ts';
import { copyWorld, type World } from '../testing/plan_world.ts';
import { plan } from './plan.ts';

const ROUNDS_MAX = 6; // most need two: one that does it, one that finds nothing left; each hash and each copy one more

const KINDS: readonly Alphabet['kinds'][] = [
  ['file'],
  ['folder'],
  ['file', 'file'],
  ['folder', 'file'],
  ['folder', 'folder'],
  ['file', 'file', 'file'],
  ['folder', 'file', 'file'],
  ['folder', 'folder', 'file'],
  ['folder', 'folder', 'folder'],
];
const SMALL = KINDS.filter((kinds) => kinds.length <= 2);
const CONTENTS = ['111111', '222222'];

type Order = RunOptions['arrange'];
const forwards: Order = (steps) => steps.flat();
const backwards: Order = (steps) => steps.flatMap((step) => step.toReversed());
const ORDERS = [forwards, backwards, localFirst];
const RECORDINGS = ['parts', 'whole', 'late'] as const;

/** @returns the world at the end */
function settle(world: World, { turn = 0, troubled = 0 }: { turn?: number; troubled?: number } = {}): World {
  // the orders and the ways to record take turns: there are enough states for all to meet
  const arrange = ORDERS[turn % ORDERS.length] ?? forwards;
  const recording = RECORDINGS[Math.floor(turn / ORDERS.length) % RECORDINGS.length] ?? 'parts';
  const run = runToEnd(world, { planner: plan, arrange, fails: () => false, recording, troubled });
  assert.equal(run.problem, null, `${run.problem}\n${describeWorld(world)}`);
  if (troubled === 0) assert.ok(run.rounds < ROUNDS_MAX, `${run.rounds} plans\n${describeWorld(world)}`);
  return run.world;
}

for (const kinds of KINDS) {
  test(`every state of ${kinds.join(', ')} ends with both sides the same, and nothing lost`, () => {
    let count = 0;
    for (const world of allStates({ kinds, names: ['a', 'b'], contents: CONTENTS, localFolds: true })) {
      settle(world, { turn: count });
      count += 1;
    }
    assert.ok(count > 0);
  });
}

for (const kinds of SMALL) {
  for (const localFolds of [true, false]) {
    const disk = localFolds ? 'folds' : 'keeps';
    test(`every state of ${kinds.join(', ')} under names that fold together, on a disk that ${disk} them, ends well`, () => {
      for (const world of allStates({ kinds, names: ['a', 'A'], contents: CONTENTS, localFolds })) {
        for (let turn = 0; turn < ORDERS.length * RECORDINGS.length; turn += 1) settle(world, { turn });
      }
    });
  }

  test(`every state of ${kinds.join(', ')} ends well with any of the local files unread`, () => {
    for (const world of allStates({ kinds, names: ['a', 'b'], contents: CONTENTS, localFolds: true })) {
      for (const unread of choices([...world.local.values()].filter((node) => node.kind === 'file').map((node) => node.id))) {
        settle({ ...copyWorld(world), unread: new Set(unread) });
      }
    }
  });

  test(`every state of ${kinds.join(', ')} ends well when something was held at first`, () => {
    for (const world of allStates({ kinds, names: ['a', 'b'], contents: CONTENTS, localFolds: true })) {
      for (const held of choices(kinds.map((_, n) => n + 2))) settle({ ...copyWorld(world), held: new Set(held) }, { troubled: 1 });
    }
  });

  test(`every state of ${kinds.join(', ')} keeps the same contents when the sides are exchanged`, () => {
    for (const world of allStates({ kinds, names: ['a', 'b'], contents: CONTENTS, localFolds: true })) {
      const mirrored = { ...copyWorld(world), local: new Map(world.remote), remote: new Map(world.local) };
      assert.deepEqual(contentsOf(settle(mirrored)), contentsOf(settle(world)), describeWorld(world));
    }
  });
}

/** Every subset but the empty one. */
function choices<T>(items: readonly T[]): T[][] {
  const sets: T[][] = [[]];
  for (const item of items) for (const set of [...sets]) sets.push([...set, item]);
  return sets.slice(1);
}
