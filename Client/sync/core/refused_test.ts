import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentsOf, describeWorld } from '../testing/plan_oracle.ts';
import { type Alphabet, allStates } from '../testing/plan_states.ts';
import { planText, worldFrom } from '../testing/plan_text.ts';
import { applyAction, copyWorld, inputOf, isSame, type World } from '../testing/plan_world.ts';
import { plan } from './plan.ts';
import type { NodeId } from './tree.ts';

/** What was done here to the file 2, to be undone because the server did not take it. */
const UNDONE: Readonly<Record<string, readonly [local: string, plan: string]>> = {
  attributes: ['2@1/a=000000*1', 'local touch 2'],
  content: ['2@1/a=111111', 'forget 2 | set aside 2 as a (conflict from desk 111111) | local put 2 /a'],
  place: ['2@9/b=000000', 'local move 2 /a'],
  'place, content': ['2@9/b=111111', 'forget 2 | set aside 2 as b (conflict from desk 111111) | local put 2 /a'],
  gone: ['', 'local put 2 /a'],
};

test('a change that the server does not allow is undone here, and edited content is set aside', () => {
  for (const [what, [local, expected]] of Object.entries(UNDONE)) {
    const world = worldFrom({ agreed: '9@1/d/ 2@1/a=000000', local: `9@1/d/ ${local}`, remote: '9@1/d/ 2@1/a=000000' });
    const planned = plan(inputOf({ ...world, refused: new Set([2]) }));
    assert.equal(planText(planned), expected, what);
    assert.deepEqual([...new Set(planned.conflicts.map(({ kind }) => kind))], expected.includes('set aside') ? ['not_allowed'] : [], what);
  }
});

test('a folder that the server does not let go comes back with what is in it', () => {
  const agreed = '2@1/d/ 3@2/e/ 4@3/a=000000';
  const world = worldFrom({ agreed, local: '', remote: agreed });
  assert.equal(planText(plan(inputOf({ ...world, refused: new Set([2, 3, 4]) }))), 'local make 2 /d | local make 3 2/e | local put 4 3/a');
});

test('what was deleted there after it was refused is planned as ever', () => {
  const world = worldFrom({ agreed: '2@1/a=000000', local: '2@1/a=000000*1', remote: '' });
  assert.equal(planText(plan(inputOf({ ...world, refused: new Set([2]) }))), 'local delete 2');
});

const KINDS: readonly Alphabet['kinds'][] = [
  ['file'],
  ['folder'],
  ['file', 'file'],
  ['folder', 'file'],
  ['folder', 'folder'],
  ['folder', 'file', 'file'],
];
const PASSES = 3; // in a later one what was in the way of something may not be any more
const ROUNDS_MAX = 20;

for (const kinds of KINDS) {
  test(`states of ${kinds.join(', ')} end as the server has it, and nothing lost, where the server allows no change`, () => {
    const every = kinds.length > 2 ? 16 : 1; // of so many one
    for (const localFolds of [true, false]) {
      let n = 0;
      for (const world of allStates({ kinds, names: ['a', 'b'], contents: ['111111', '222222'], localFolds })) {
        if (n % every === 0) endsAsOnServer(world);
        n += 1;
      }
    }
  });
}

/** The server is asked once for each node; what is new here is asked for again beside what was undone, and waits then. */
function endsAsOnServer(start: World): void {
  const refused = new Set<NodeId>();
  const world: World = { ...copyWorld(start), refused };
  const edited = [...start.local.values()].filter((node) => node.content !== start.ancestor.get(node.id)?.content);
  let passes = 0;
  for (let round = 0; ; round += 1) {
    assert.ok(round < ROUNDS_MAX, `no end\n${describeWorld(start)}\n${describeWorld(world)}`);
    const { steps } = plan(inputOf(world));
    if (steps.length === 0) {
      passes += 1;
      if (passes === PASSES) break;
      world.held.clear();
      refused.clear();
    }
    const asked = new Set<NodeId>(); // one operation for each node at a time
    for (const action of steps.flat()) {
      if (!('side' in action) || action.side === 'local') {
        assert.equal(
          applyAction(world, action, 'parts'),
          null,
          `${JSON.stringify(action)}\n${describeWorld(start)}\n${describeWorld(world)}`,
        );
      } else if (asked.has(action.id)) continue;
      else if (refused.delete(action.id)) world.held.add(action.id);
      else refused.add(action.id);
      asked.add(action.id);
    }
  }
  for (const [id, node] of start.remote)
    assert.ok(isSame(world.local.get(id), node), `${id} is not as on the server\n${describeWorld(start)}\n${describeWorld(world)}`);
  const contents = new Set(contentsOf(world));
  for (const { kind, content } of edited)
    if (kind !== 'folder') assert.ok(contents.has(`${kind}:${content}`), `lost ${content}\n${describeWorld(start)}`);
}
