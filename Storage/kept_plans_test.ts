import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import type { BackPlan, BackRequest } from './history.ts';
import { createKeptPlans } from './kept_plans.ts';
import type { SpaceView, View } from './sql/sql_metadata_view.ts';

const request: BackRequest = { kind: 'undo', operation: '1' };
const long = LIMITS.pageEntriesDefault + 1;

function planOf(entries: number, digest: string, path = '/f'): BackPlan {
  const step = { kind: 'delete', path, fromPath: null, entryKind: 'file', size: 0 } as const;
  return { digest, counts: { delete: entries, move: 0, restore: 0, content: 0 }, steps: Array(entries).fill(step), conflicts: [] };
}

function viewOf(userId: string, change: Partial<SpaceView> = {}): View {
  const home = { id: 1, root: 2, role: 2, ownerId: userId, ownerName: userId, joinedSeq: 0, head: 9, isHome: true, path: '/', ...change };
  return { userId, home, spaces: [home], byId: new Map([[1, home]]), mounts: new Map() };
}

test('a long plan is kept as long as its pages are asked for, and a minute', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const plans = createKeptPlans();
  const plan = planOf(long, 'a');
  const [view, later] = [viewOf('alice'), viewOf('alice', { head: 10 })];
  plans.keep(view, request, plan);
  for (let n = 0; n < 3; n += 1) {
    t.mock.timers.tick(LIMITS.planKeptMs - 1);
    assert.equal(plans.find(later, request, 'a')?.digest, 'a');
  }
  t.mock.timers.tick(LIMITS.planKeptMs);
  assert.equal(plans.find(view, request, 'a')?.digest, undefined);
});

test('only its user finds it, by what was asked and its digest, and not with other rights, a space more, or at another path', () => {
  const plans = createKeptPlans();
  const plan = planOf(long, 'a');
  plans.keep(viewOf('alice'), request, plan);
  const view = viewOf('alice');
  const other = [viewOf('bob'), viewOf('alice', { role: 1 }), viewOf('alice', { joinedSeq: 3 }), viewOf('alice', { path: '/moved' })];
  for (const each of [...other, { ...view, spaces: [...view.spaces, ...view.spaces] }]) assert.equal(plans.find(each, request, 'a'), null);
  assert.equal(plans.find(view, request, 'b'), null);
  assert.equal(plans.find(view, { kind: 'undo', operation: '2' }, 'a'), null);
  assert.equal(plans.find(view, request, 'a'), plan);
});

test('of one user the last is kept, of all users so much as has room, and of a short one nothing', () => {
  const plans = createKeptPlans(3 * long * 258); // each step takes 256, and its path
  const users = ['alice', 'bob', 'carol'];
  for (const user of users) plans.keep(viewOf(user), request, planOf(long, user));
  plans.find(viewOf('alice'), request, 'alice');
  plans.keep(viewOf('dave'), request, planOf(long, 'dave'));
  const kept = () => [...users, 'dave'].filter((user) => plans.find(viewOf(user), request, user) !== null);
  assert.deepEqual(kept(), ['alice', 'carol', 'dave']);
  plans.keep(viewOf('erin'), request, planOf(3 * long + 1, 'erin'));
  assert.deepEqual(kept(), ['alice', 'carol', 'dave']); // what has no room at all takes none away
  plans.keep(viewOf('alice'), request, planOf(long - 1, 'short'));
  assert.deepEqual(kept(), ['carol', 'dave']);
  assert.equal(plans.find(viewOf('alice'), request, 'short'), null);
  plans.keep(viewOf('alice'), request, planOf(long, 'alice'));
  assert.deepEqual(kept(), ['alice', 'carol', 'dave']); // what is forgotten gives its room back
});

test('the longer the paths the more room a plan takes, with those of conflicts and those that something is moved from', () => {
  const deep = `/${'d'.repeat(LIMITS.pathBytesMax - 1)}`;
  const plans = createKeptPlans((long + 1) * (256 + deep.length));
  const full = planOf(long + 1, 'a', deep);
  const [first, ...steps] = full.steps;
  assert.ok(first !== undefined);
  const keeps = (plan: BackPlan): boolean => {
    plans.keep(viewOf('alice'), request, plan);
    return plans.find(viewOf('alice'), request, plan.digest) === plan;
  };
  const withConflict = (path: string): BackPlan => ({ ...full, steps, conflicts: [{ path, reason: 'thinned', by: null }] });
  assert.ok(keeps(full));
  assert.ok(!keeps({ ...full, steps: [...steps, { ...first, path: `${deep}d` }] }));
  assert.ok(!keeps({ ...full, steps: [...steps, { ...first, fromPath: '/' }] }));
  assert.ok(keeps(withConflict(deep)));
  assert.ok(!keeps(withConflict(`${deep}d`)));
});
