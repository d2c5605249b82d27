import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runToEnd } from '../testing/plan_run.ts';
import { planText, worldFrom } from '../testing/plan_text.ts';
import { inputOf } from '../testing/plan_world.ts';
import type { Plan } from './actions.ts';
import { plan } from './plan.ts';

type Case = {
  readonly name: string;
  readonly agreed: string;
  readonly local: string;
  readonly remote: string;
  readonly with?: { readonly unread?: number[]; readonly held?: number[]; readonly localFolds?: boolean };
  /** The steps; then what is a conflict, and what is stuck. */
  readonly plan: string;
};

const CASES: readonly Case[] = [
  {
    name: 'a folder moved to different places: the remote one',
    agreed: '2@1/a/ 3@2/x=000000 9@1/d/',
    local: '9@1/d/ 2@9/a/ 3@2/x=000000',
    remote: '9@1/d/ 2@1/b/ 3@2/x=000000',
    plan: 'local move 2 /b',
  },
  {
    name: 'two folders moved into each other: the local move is taken back',
    agreed: '2@1/a/ 3@1/b/',
    local: '2@3/a/ 3@1/b/',
    remote: '2@1/a/ 3@2/b/',
    plan: 'local move 2 /a | local move 3 2/b',
  },
  {
    name: 'three folders moved in a circle',
    agreed: '2@1/a/ 3@1/b/ 4@1/c/',
    local: '2@3/a/ 3@1/b/ 4@2/c/',
    remote: '2@1/a/ 3@4/b/ 4@1/c/',
    plan: 'local move 2 /a, local move 4 /c | local move 3 4/b',
  },
  {
    name: 'a move into a folder that was moved into it, with a new folder between',
    agreed: '2@1/a/ 3@1/b/',
    local: '3@1/b/ 4@3/n/ 2@4/a/',
    remote: '2@1/a/ 3@2/b/',
    plan: 'local move 2 /a, remote make 4 3/n | local move 3 2/b',
  },
  {
    name: 'a move into a folder that is deleted: the folder stays',
    agreed: '2@1/a/ 3@1/x=000000 4@2/y=111111',
    local: '2@1/a/ 3@2/x=000000 4@2/y=111111',
    remote: '3@1/x=000000',
    plan: 'remote make 2 /a | remote move 3 2/x | local delete 4',
  },
  {
    name: 'moved by both, into a folder that the other deleted: the remote place',
    agreed: '2@1/a/ 3@1/x=000000',
    local: '2@1/a/ 3@2/x=000000',
    remote: '3@1/y=000000',
    plan: 'local move 3 /y | local delete 2',
  },
  {
    name: 'a new folder with a file inside a folder that was deleted',
    agreed: '2@1/a/',
    local: '2@1/a/ 3@2/n/ 4@3/x=111111',
    remote: '',
    plan: 'remote make 2 /a | remote make 3 2/n | remote put 4 3/x',
  },
  {
    name: 'file becomes folder',
    agreed: '2@1/a=000000',
    local: '3@1/a/ 4@3/x=111111',
    remote: '2@1/a=000000',
    plan: 'remote delete 2 | remote make 3 /a | remote put 4 3/x',
  },
  {
    name: 'folder becomes file',
    agreed: '2@1/a/ 3@2/x=000000',
    local: '4@1/a=111111',
    remote: '2@1/a/ 3@2/x=000000',
    plan: 'remote delete 3 | remote delete 2 | remote put 4 /a',
  },
  {
    name: 'folder becomes file, something in it moved out',
    agreed: '2@1/a/ 3@2/x=000000',
    local: '4@1/a=111111 3@1/y=000000',
    remote: '2@1/a/ 3@2/x=000000',
    plan: 'remote move 3 /y | remote delete 2 | remote put 4 /a',
  },
  {
    name: 'folder becomes file, something in it moved into what is made later',
    agreed: '2@1/a/ 3@2/x/',
    local: '4@1/a=111111 5@1/n/ 3@5/y/',
    remote: '2@1/a/ 3@2/x/',
    plan: 'remote make 5 /n | remote move 3 5/y | remote delete 2 | remote put 4 /a',
  },
  {
    name: 'folder becomes file here, a file in it is edited there',
    agreed: '2@1/a/ 3@2/x=000000',
    local: '4@1/a=111111',
    remote: '2@1/a/ 3@2/x=222222',
    plan: 'local move 4 /a (conflict from desk 111111) | local make 2 /a | local put 3 2/x, remote put 4 /a (conflict from desk 111111); name_taken 4',
  },
  {
    name: 'file becomes folder here, and is edited there',
    agreed: '2@1/a=000000',
    local: '3@1/a/',
    remote: '2@1/a=222222',
    plan: 'local move 3 /a (conflict from desk 53b2cd), remote make 3 /a (conflict from desk 53b2cd) | local put 2 /a; name_taken 3',
  },
  {
    name: 'file becomes symlink',
    agreed: '2@1/a=000000',
    local: '2@1/a->t',
    remote: '2@1/a=000000',
    plan: 'remote replace 2',
  },
  {
    name: 'file becomes symlink here, is edited there',
    agreed: '2@1/a=000000',
    local: '2@1/a->t',
    remote: '2@1/a=222222',
    plan: 'set aside 2 as a (conflict from desk b7fd2f) | local put 2 /a; edited_twice 2',
  },
  {
    name: 'case-only rename here',
    agreed: '2@1/a=000000',
    local: '2@1/A=000000',
    remote: '2@1/a=000000',
    plan: 'remote move 2 /A',
  },
  {
    name: 'case-only rename there',
    agreed: '2@1/a=000000',
    local: '2@1/a=000000',
    remote: '2@1/A=000000',
    plan: 'local move 2 /A',
  },
  {
    name: 'accents composed otherwise on both sides',
    agreed: '2@1/ä=000000',
    local: '2@1/ä=000000',
    remote: '2@1/Ä=000000',
    plan: 'local move 2 /Ä',
  },
  {
    name: 'a new sibling whose name folds to that of a synced one',
    agreed: '2@1/a=000000',
    local: '2@1/a=000000 3@1/A=111111',
    remote: '2@1/a=000000',
    with: { localFolds: false },
    plan: '; stuck 3',
  },
  {
    name: 'two new siblings whose names fold together',
    agreed: '',
    local: '2@1/a=111111 3@1/A=222222',
    remote: '',
    with: { localFolds: false },
    plan: 'remote put 2 /a; stuck 3',
  },
  {
    name: 'a new folder whose name folds to that of a synced file, and what is in it',
    agreed: '2@1/a=000000',
    local: '2@1/a=000000 3@1/A/ 4@3/x=111111',
    remote: '2@1/a=000000',
    with: { localFolds: false },
    plan: '; stuck 3',
  },
  {
    name: 'what another was stuck behind is renamed there',
    agreed: '2@1/a=000000',
    local: '2@1/a=000000 3@1/A=111111',
    remote: '2@1/b=000000',
    with: { localFolds: false },
    plan: 'local move 2 /b | remote put 3 /A',
  },
  {
    name: 'what another was stuck behind is edited there',
    agreed: '2@1/a=000000',
    local: '2@1/a=000000 3@1/A=111111',
    remote: '2@1/a=222222',
    with: { localFolds: false },
    plan: 'local replace 2; stuck 3',
  },
  {
    name: 'a synced one renamed to a name that folds to that of another',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/a=000000 3@1/A=111111',
    remote: '2@1/a=000000 3@1/b=222222',
    with: { localFolds: false },
    plan: '; stuck 3',
  },
  {
    name: 'two names exchanged here',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/b=000000 3@1/a=111111',
    remote: '2@1/a=000000 3@1/b=111111',
    plan: 'remote move 2 /a (moving 5bd1e9) | remote move 3 /a | remote move 2 /b',
  },
  {
    name: 'two names exchanged there',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/a=000000 3@1/b=111111',
    remote: '2@1/b=000000 3@1/a=111111',
    plan: 'local move 2 /a (moving 5bd1e9) | local move 3 /a | local move 2 /b',
  },
  {
    name: 'two names exchanged there, stopped after the first was out of the way',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/a=000000 3@1/b_(moving_b7a3d2)=111111',
    remote: '2@1/b=000000 3@1/a=111111',
    plan: 'local move 2 /b | local move 3 /a',
  },
  {
    name: 'two names exchanged here, stopped after the first was out of the way there',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/b=000000 3@1/a=111111',
    remote: '2@1/a=000000 3@1/b_(moving_b7a3d2)=111111',
    plan: 'remote move 2 /b | remote move 3 /a',
  },
  {
    name: 'two names exchanged here, and something new has the name of who would wait there',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/b=000000 3@1/a=111111 9@1/a_(moving_5bd1e9)/',
    remote: '2@1/a=000000 3@1/b=111111',
    plan: 'remote make 9 /a (moving 5bd1e9), remote move 2 /a (moving 9840dc) | remote move 3 /a | remote move 2 /b',
  },
  {
    name: 'three names turned round',
    agreed: '2@1/a=000000 3@1/b=111111 4@1/c=222222',
    local: '2@1/b=000000 3@1/c=111111 4@1/a=222222',
    remote: '2@1/a=000000 3@1/b=111111 4@1/c=222222',
    plan: 'remote move 2 /a (moving 5bd1e9) | remote move 4 /a | remote move 3 /c | remote move 2 /b',
  },
  {
    name: 'a row of renames, each to the next name',
    agreed: '2@1/a=000000 3@1/b=111111 4@1/c=222222',
    local: '2@1/b=000000 3@1/c=111111 4@1/e=222222',
    remote: '2@1/a=000000 3@1/b=111111 4@1/c=222222',
    plan: 'remote move 4 /e | remote move 3 /c | remote move 2 /b',
  },
  {
    name: 'a folder and one in it change places',
    agreed: '2@1/a/ 3@2/b/ 4@3/x=000000',
    local: '3@1/a/ 2@3/b/ 4@3/x=000000',
    remote: '2@1/a/ 3@2/b/ 4@3/x=000000',
    plan: 'remote move 2 /a (moving 5bd1e9) | remote move 3 /a | remote move 2 3/b',
  },
  {
    name: 'renamed over another',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '3@1/a=111111',
    remote: '2@1/a=000000 3@1/b=111111',
    plan: 'remote delete 2 | remote move 3 /a',
  },
  {
    name: 'renamed over another that is edited there',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '3@1/a=111111',
    remote: '2@1/a=222222 3@1/b=111111',
    plan: 'local move 3 /a (conflict from desk 111111), remote move 3 /a (conflict from desk 111111) | local put 2 /a; name_taken 3',
  },
  {
    name: 'moved here to a name that is made there',
    agreed: '2@1/a=000000',
    local: '2@1/b=000000',
    remote: '2@1/a=000000 4@1/b=222222',
    plan: 'local move 2 /b (conflict from desk 000000), remote move 2 /b (conflict from desk 000000) | local put 4 /b; name_taken 2',
  },
  {
    name: 'moved here to a name that is made there with the same content',
    agreed: '2@1/a=000000',
    local: '2@1/b=000000',
    remote: '2@1/a=000000 4@1/b=000000',
    plan: 'local move 2 /b (conflict from desk 000000), remote move 2 /b (conflict from desk 000000) | local put 4 /b; name_taken 2',
  },
  {
    name: 'made here under a name that something is moved to there',
    agreed: '2@1/a=000000',
    local: '2@1/a=000000 4@1/b=222222',
    remote: '2@1/b=000000',
    plan: 'local move 4 /b (conflict from desk 222222) | local move 2 /b | remote put 4 /b (conflict from desk 222222); name_taken 4',
  },
  {
    name: 'two moved to one name, one here and one there',
    agreed: '2@1/a=000000 3@1/b=111111',
    local: '2@1/c=000000 3@1/b=111111',
    remote: '2@1/a=000000 3@1/c=111111',
    plan: 'local move 2 /c (conflict from desk 000000), remote move 2 /c (conflict from desk 000000) | local move 3 /c; name_taken 2',
  },
  {
    name: 'deleted and made anew here, with the same content as what it became there',
    agreed: '2@1/a=000000',
    local: '3@1/a=222222',
    remote: '2@1/a=222222',
    plan: 'adopt 3 as 2 | record 2',
  },
  {
    name: 'a folder deleted and made anew here, with something new',
    agreed: '2@1/a/ 3@2/x=000000',
    local: '4@1/a/ 5@4/y=111111',
    remote: '2@1/a/ 3@2/x=000000',
    plan: 'adopt 4 as 2 | remote put 5 2/y | remote delete 3',
  },
  {
    name: 'a copy of a copy does not grow',
    agreed: '2@1/a_(conflict_from_lap_000000).txt=000000',
    local: '2@1/a_(conflict_from_lap_000000).txt=111111',
    remote: '2@1/a_(conflict_from_lap_000000).txt=222222',
    plan: 'set aside 2 as a (conflict from desk 111111).txt | local put 2 /a (conflict from lap 000000).txt; edited_twice 2',
  },
  {
    name: 'new and not read, a name that is made there',
    agreed: '',
    local: '2@1/a=111111',
    remote: '3@1/a=222222',
    with: { unread: [2] },
    plan: 'hash 2',
  },
  {
    name: 'new and not read, nothing there',
    agreed: '',
    local: '2@1/a=111111',
    remote: '',
    with: { unread: [2] },
    plan: 'remote put 2 /a',
  },
  {
    name: 'not read, a folder there of the same name',
    agreed: '',
    local: '2@1/a=111111',
    remote: '3@1/a/ 4@3/x=222222',
    with: { unread: [2] },
    plan: 'hash 2',
  },
  {
    name: 'held: nothing of it, all of the others',
    agreed: '2@1/a=000000 3@1/b=000000',
    local: '2@1/a=111111 3@1/b=111111',
    remote: '2@1/a=000000 3@1/b=000000',
    with: { held: [2] },
    plan: 'remote replace 3',
  },
  {
    name: 'held in a folder that is deleted there',
    agreed: '2@1/a/ 3@2/x=000000 4@2/y=000000',
    local: '2@1/a/ 3@2/x=000000 4@2/y=000000',
    remote: '',
    with: { held: [3] },
    plan: 'local delete 4',
  },
  {
    name: 'held under a name that is made there',
    agreed: '',
    local: '2@1/a=111111',
    remote: '3@1/a=222222 4@1/b=222222',
    with: { held: [2] },
    plan: 'local put 4 /b',
  },
  {
    name: 'a held folder: nothing in it',
    agreed: '2@1/a/ 3@2/x=000000',
    local: '2@1/a/ 3@2/x=111111 4@2/y=111111',
    remote: '2@1/a/ 3@2/x=000000',
    with: { held: [2] },
    plan: '',
  },
  {
    name: 'held in a folder that is renamed there',
    agreed: '2@1/a/ 3@2/x=000000',
    local: '2@1/a/ 3@2/x=111111',
    remote: '2@1/b/ 3@2/x=000000',
    with: { held: [3] },
    plan: 'local move 2 /b',
  },
  {
    name: 'held in a folder that was deleted here and moved there',
    agreed: '2@1/a/ 3@2/x=000000 4@2/y=000000',
    local: '',
    remote: '2@1/b/ 3@2/x=000000 4@2/y=000000',
    with: { held: [3] },
    plan: '',
  },
];

function outcomeOf(found: Plan): string {
  const conflicts = found.conflicts.map(({ kind, id }) => `; ${kind} ${id}`);
  const stuck = found.stuck.map(({ id }) => `; stuck ${id}`);
  return planText(found) + [...conflicts, ...stuck].join('');
}

for (const { name, with: options, plan: expected, ...trees } of CASES) {
  test(name, () => {
    const world = worldFrom(trees, options);
    assert.equal(outcomeOf(plan(inputOf(world))), expected);
    const run = runToEnd(world, { planner: plan, arrange: (steps) => steps.flat(), fails: () => false, recording: 'whole', troubled: 1 });
    assert.equal(run.problem, null);
  });
}
