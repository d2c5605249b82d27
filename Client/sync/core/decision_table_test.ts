import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planText, worldFrom } from '../testing/plan_text.ts';
import { inputOf, type World } from '../testing/plan_world.ts';
import { plan } from './plan.ts';

type Row = readonly [local: string, remote: string, plan: string];

/** Every local state meets every remote one, and each meeting is a row. */
function check(
  table: readonly Row[],
  sides: { local: Record<string, string>; remote: Record<string, string> },
  worldOf: (local: string, remote: string) => World,
): void {
  const rows = new Map(table.map(([local, remote, expected]) => [`${local} / ${remote}`, expected]));
  for (const [local, localText] of Object.entries(sides.local)) {
    for (const [remote, remoteText] of Object.entries(sides.remote)) {
      const key = `${local} / ${remote}`;
      assert.equal(planText(plan(inputOf(worldOf(localText, remoteText)))), rows.get(key), key);
      rows.delete(key);
    }
  }
  assert.deepEqual([...rows.keys()], [], 'rows that nothing is for');
}

/** What became of the file 2 on one side; content and place differ from those of the other side. */
function leafStates(content: string, name: string, mode: number): Record<string, string> {
  return {
    same: '2@1/a=000000',
    attributes: `2@1/a=000000*${mode}`,
    content: `2@1/a=${content}`,
    place: `2@9/${name}=000000`,
    'place, content': `2@9/${name}=${content}`,
    gone: '',
  };
}

const LEAF: readonly Row[] = [
  ['same', 'same', ''],
  ['same', 'attributes', 'local touch 2'],
  ['same', 'content', 'local replace 2'],
  ['same', 'place', 'local move 2 9/R'],
  ['same', 'place, content', 'local move 2 9/R | local replace 2'],
  ['same', 'gone', 'local delete 2'],
  ['attributes', 'same', 'remote touch 2'],
  ['attributes', 'attributes', 'local touch 2'],
  ['attributes', 'content', 'local replace 2'],
  ['attributes', 'place', 'local move 2 9/R | remote touch 2'],
  ['attributes', 'place, content', 'local move 2 9/R | local replace 2'],
  ['attributes', 'gone', 'local delete 2'],
  ['content', 'same', 'remote replace 2'],
  ['content', 'attributes', 'remote replace 2'],
  ['content', 'content', 'set aside 2 as a (conflict from desk 111111) | local put 2 /a'],
  ['content', 'place', 'local move 2 9/R | remote replace 2'],
  ['content', 'place, content', 'set aside 2 as a (conflict from desk 111111) | local put 2 9/R'],
  ['content', 'gone', 'remote put 2 /a'],
  ['place', 'same', 'remote move 2 9/L'],
  ['place', 'attributes', 'remote move 2 9/L | local touch 2'],
  ['place', 'content', 'remote move 2 9/L | local replace 2'],
  ['place', 'place', 'local move 2 9/R'],
  ['place', 'place, content', 'local move 2 9/R | local replace 2'],
  ['place', 'gone', 'remote put 2 9/L'],
  ['place, content', 'same', 'remote move 2 9/L | remote replace 2'],
  ['place, content', 'attributes', 'remote move 2 9/L | remote replace 2'],
  ['place, content', 'content', 'remote move 2 9/L, set aside 2 as L (conflict from desk 111111) | local put 2 9/L'],
  ['place, content', 'place', 'local move 2 9/R | remote replace 2'],
  ['place, content', 'place, content', 'set aside 2 as L (conflict from desk 111111) | local put 2 9/R'],
  ['place, content', 'gone', 'remote put 2 9/L'],
  ['gone', 'same', 'remote delete 2'],
  ['gone', 'attributes', 'remote delete 2'],
  ['gone', 'content', 'local put 2 /a'],
  ['gone', 'place', 'local put 2 9/R'],
  ['gone', 'place, content', 'local put 2 9/R'],
  ['gone', 'gone', 'record 2'],
];

test('a file, by what became of it on both sides', () => {
  check(LEAF, { local: leafStates('111111', 'L', 1), remote: leafStates('222222', 'R', 2) }, (local, remote) =>
    worldFrom({ agreed: '9@1/d/ 2@1/a=000000', local: `9@1/d/ ${local}`, remote: `9@1/d/ ${remote}` }),
  );
});

const UNREAD: readonly Row[] = [
  ['same', 'same', 'remote replace 2'],
  ['same', 'attributes', 'hash 2'],
  ['same', 'content', 'hash 2'],
  ['same', 'place', 'local move 2 9/R | remote replace 2'],
  ['same', 'place, content', 'hash 2'],
  ['same', 'gone', 'hash 2'],
  ['attributes', 'same', 'remote replace 2'],
  ['attributes', 'attributes', 'hash 2'],
  ['attributes', 'content', 'hash 2'],
  ['attributes', 'place', 'local move 2 9/R | remote replace 2'],
  ['attributes', 'place, content', 'hash 2'],
  ['attributes', 'gone', 'hash 2'],
  ['content', 'same', 'remote replace 2'],
  ['content', 'attributes', 'hash 2'],
  ['content', 'content', 'hash 2'],
  ['content', 'place', 'local move 2 9/R | remote replace 2'],
  ['content', 'place, content', 'hash 2'],
  ['content', 'gone', 'hash 2'],
  ['place', 'same', 'remote move 2 9/L | remote replace 2'],
  ['place', 'attributes', 'hash 2'],
  ['place', 'content', 'hash 2'],
  ['place', 'place', 'local move 2 9/R | remote replace 2'],
  ['place', 'place, content', 'hash 2'],
  ['place', 'gone', 'remote put 2 9/L'],
  ['place, content', 'same', 'remote move 2 9/L | remote replace 2'],
  ['place, content', 'attributes', 'hash 2'],
  ['place, content', 'content', 'hash 2'],
  ['place, content', 'place', 'local move 2 9/R | remote replace 2'],
  ['place, content', 'place, content', 'hash 2'],
  ['place, content', 'gone', 'remote put 2 9/L'],
];

test('a file that was not read here, by what is known of it and what became of it there', () => {
  const { gone, ...local } = leafStates('111111', 'L', 1);
  assert.equal(gone, '');
  check(UNREAD, { local, remote: leafStates('222222', 'R', 2) }, (here, there) =>
    worldFrom({ agreed: '9@1/d/ 2@1/a=000000', local: `9@1/d/ ${here}`, remote: `9@1/d/ ${there}` }, { unread: [2] }),
  );
});
/** What became of the folder 2 with the file 3 on one side. */
function folderStates(content: string, name: string, other: { mode: number; id: number }): Record<string, string> {
  return {
    same: '2@1/a/ 3@2/x=000000',
    attributes: `2@1/a/*${other.mode} 3@2/x=000000`,
    place: `2@9/${name}/ 3@2/x=000000`,
    gone: '',
    'child edited': `2@1/a/ 3@2/x=${content}`,
    'child new': `2@1/a/ 3@2/x=000000 ${other.id}@2/${name}=${content}`,
    'child gone': '2@1/a/',
    'child moved out': '2@1/a/ 3@9/x=000000',
    'child moved out, gone': '3@9/x=000000',
  };
}

const FOLDER: readonly Row[] = [
  ['same', 'same', ''],
  ['same', 'attributes', 'local touch 2'],
  ['same', 'place', 'local move 2 9/R'],
  ['same', 'gone', 'local delete 3 | local delete 2'],
  ['same', 'child edited', 'local replace 3'],
  ['same', 'child new', 'local put 6 2/R'],
  ['same', 'child gone', 'local delete 3'],
  ['same', 'child moved out', 'local move 3 9/x'],
  ['same', 'child moved out, gone', 'local move 3 9/x | local delete 2'],
  ['attributes', 'same', 'remote touch 2'],
  ['attributes', 'attributes', 'local touch 2'],
  ['attributes', 'place', 'local move 2 9/R | remote touch 2'],
  ['attributes', 'gone', 'local delete 3 | local delete 2'],
  ['attributes', 'child edited', 'local replace 3 | remote touch 2'],
  ['attributes', 'child new', 'local put 6 2/R | remote touch 2'],
  ['attributes', 'child gone', 'local delete 3 | remote touch 2'],
  ['attributes', 'child moved out', 'local move 3 9/x | remote touch 2'],
  ['attributes', 'child moved out, gone', 'local move 3 9/x | local delete 2'],
  ['place', 'same', 'remote move 2 9/L'],
  ['place', 'attributes', 'remote move 2 9/L | local touch 2'],
  ['place', 'place', 'local move 2 9/R'],
  ['place', 'gone', 'forget 3 | remote make 2 9/L | remote put 3 2/x'],
  ['place', 'child edited', 'remote move 2 9/L | local replace 3'],
  ['place', 'child new', 'remote move 2 9/L | local put 6 2/R'],
  ['place', 'child gone', 'remote move 2 9/L | local delete 3'],
  ['place', 'child moved out', 'local move 3 9/x, remote move 2 9/L'],
  ['place', 'child moved out, gone', 'local move 3 9/x, remote make 2 9/L'],
  ['gone', 'same', 'remote delete 3 | remote delete 2'],
  ['gone', 'attributes', 'remote delete 3 | remote delete 2'],
  ['gone', 'place', 'forget 3 | local make 2 9/R | local put 3 2/x'],
  ['gone', 'gone', 'record 2, record 3'],
  ['gone', 'child edited', 'local make 2 /a | local put 3 2/x'],
  ['gone', 'child new', 'local make 2 /a | local put 6 2/R | remote delete 3'],
  ['gone', 'child gone', 'record 3 | remote delete 2'],
  ['gone', 'child moved out', 'local put 3 9/x | remote delete 2'],
  ['gone', 'child moved out, gone', 'record 2 | local put 3 9/x'],
  ['child edited', 'same', 'remote replace 3'],
  ['child edited', 'attributes', 'remote replace 3 | local touch 2'],
  ['child edited', 'place', 'local move 2 9/R | remote replace 3'],
  ['child edited', 'gone', 'remote make 2 /a | remote put 3 2/x'],
  ['child edited', 'child edited', 'set aside 3 as x (conflict from desk 111111) | local put 3 2/x'],
  ['child edited', 'child new', 'local put 6 2/R, remote replace 3'],
  ['child edited', 'child gone', 'remote put 3 2/x'],
  ['child edited', 'child moved out', 'local move 3 9/x | remote replace 3'],
  ['child edited', 'child moved out, gone', 'local move 3 9/x | remote replace 3 | local delete 2'],
  ['child new', 'same', 'remote put 5 2/L'],
  ['child new', 'attributes', 'remote put 5 2/L | local touch 2'],
  ['child new', 'place', 'local move 2 9/R | remote put 5 2/L'],
  ['child new', 'gone', 'remote make 2 /a | remote put 5 2/L | local delete 3'],
  ['child new', 'child edited', 'local replace 3, remote put 5 2/L'],
  ['child new', 'child new', 'local put 6 2/R, remote put 5 2/L'],
  ['child new', 'child gone', 'remote put 5 2/L | local delete 3'],
  ['child new', 'child moved out', 'local move 3 9/x | remote put 5 2/L'],
  ['child new', 'child moved out, gone', 'local move 3 9/x, remote make 2 /a | remote put 5 2/L'],
  ['child gone', 'same', 'remote delete 3'],
  ['child gone', 'attributes', 'remote delete 3 | local touch 2'],
  ['child gone', 'place', 'local move 2 9/R | remote delete 3'],
  ['child gone', 'gone', 'record 3 | local delete 2'],
  ['child gone', 'child edited', 'local put 3 2/x'],
  ['child gone', 'child new', 'local put 6 2/R | remote delete 3'],
  ['child gone', 'child gone', 'record 3'],
  ['child gone', 'child moved out', 'local put 3 9/x'],
  ['child gone', 'child moved out, gone', 'local put 3 9/x | local delete 2'],
  ['child moved out', 'same', 'remote move 3 9/x'],
  ['child moved out', 'attributes', 'remote move 3 9/x | local touch 2'],
  ['child moved out', 'place', 'local move 2 9/R, remote move 3 9/x'],
  ['child moved out', 'gone', 'remote put 3 9/x | local delete 2'],
  ['child moved out', 'child edited', 'remote move 3 9/x | local replace 3'],
  ['child moved out', 'child new', 'remote move 3 9/x | local put 6 2/R'],
  ['child moved out', 'child gone', 'remote put 3 9/x'],
  ['child moved out', 'child moved out', 'record 3'],
  ['child moved out', 'child moved out, gone', 'record 3 | local delete 2'],
  ['child moved out, gone', 'same', 'remote move 3 9/x | remote delete 2'],
  ['child moved out, gone', 'attributes', 'remote move 3 9/x | remote delete 2'],
  ['child moved out, gone', 'place', 'local make 2 9/R, remote move 3 9/x'],
  ['child moved out, gone', 'gone', 'record 2 | remote put 3 9/x'],
  ['child moved out, gone', 'child edited', 'remote move 3 9/x | local replace 3 | remote delete 2'],
  ['child moved out, gone', 'child new', 'local make 2 /a, remote move 3 9/x | local put 6 2/R'],
  ['child moved out, gone', 'child gone', 'remote put 3 9/x | remote delete 2'],
  ['child moved out, gone', 'child moved out', 'record 3 | remote delete 2'],
  ['child moved out, gone', 'child moved out, gone', 'record 2, record 3'],
];

test('a folder with a file in it, by what became of them on both sides', () => {
  const local = folderStates('111111', 'L', { mode: 1, id: 5 });
  const remote = folderStates('222222', 'R', { mode: 2, id: 6 });
  check(FOLDER, { local, remote }, (here, there) =>
    worldFrom({ agreed: '9@1/d/ 2@1/a/ 3@2/x=000000', local: `9@1/d/ ${here}`, remote: `9@1/d/ ${there}` }),
  );
});

/** What is new under the name `a` on one side. */
function newStates(id: number): Record<string, string> {
  return {
    nothing: '',
    'file 1': `${id}@1/a=111111`,
    'file 2': `${id}@1/a=222222`,
    'file 1 as A': `${id}@1/A=111111`,
    'file 1, mode': `${id}@1/a=111111*1`,
    symlink: `${id}@1/a->111111`,
    folder: `${id}@1/a/`,
    'folder A with file': `${id}@1/A/ ${id + 2}@${id}/x=333333`,
  };
}

const NEW: readonly Row[] = [
  ['nothing', 'nothing', ''],
  ['nothing', 'file 1', 'local put 6 /a'],
  ['nothing', 'file 2', 'local put 6 /a'],
  ['nothing', 'file 1 as A', 'local put 6 /A'],
  ['nothing', 'file 1, mode', 'local put 6 /a'],
  ['nothing', 'symlink', 'local put 6 /a'],
  ['nothing', 'folder', 'local make 6 /a'],
  ['nothing', 'folder A with file', 'local make 6 /A | local put 8 6/x'],
  ['file 1', 'nothing', 'remote put 5 /a'],
  ['file 1', 'file 1', 'adopt 5 as 6 | record 6'],
  ['file 1', 'file 2', 'local move 5 /a (conflict from desk 111111) | local put 6 /a, remote put 5 /a (conflict from desk 111111)'],
  ['file 1', 'file 1 as A', 'adopt 5 as 6 | local move 6 /A'],
  ['file 1', 'file 1, mode', 'adopt 5 as 6 | local touch 6'],
  ['file 1', 'symlink', 'local move 5 /a (conflict from desk 111111) | local put 6 /a, remote put 5 /a (conflict from desk 111111)'],
  ['file 1', 'folder', 'local move 5 /a (conflict from desk 111111) | local make 6 /a | remote put 5 /a (conflict from desk 111111)'],
  [
    'file 1',
    'folder A with file',
    'local move 5 /a (conflict from desk 111111) | local make 6 /A | local put 8 6/x, remote put 5 /a (conflict from desk 111111)',
  ],
  ['file 2', 'nothing', 'remote put 5 /a'],
  ['file 2', 'file 1', 'local move 5 /a (conflict from desk 222222) | local put 6 /a, remote put 5 /a (conflict from desk 222222)'],
  ['file 2', 'file 2', 'adopt 5 as 6 | record 6'],
  ['file 2', 'file 1 as A', 'local move 5 /a (conflict from desk 222222) | local put 6 /A, remote put 5 /a (conflict from desk 222222)'],
  ['file 2', 'file 1, mode', 'local move 5 /a (conflict from desk 222222) | local put 6 /a, remote put 5 /a (conflict from desk 222222)'],
  ['file 2', 'symlink', 'local move 5 /a (conflict from desk 222222) | local put 6 /a, remote put 5 /a (conflict from desk 222222)'],
  ['file 2', 'folder', 'local move 5 /a (conflict from desk 222222) | local make 6 /a | remote put 5 /a (conflict from desk 222222)'],
  [
    'file 2',
    'folder A with file',
    'local move 5 /a (conflict from desk 222222) | local make 6 /A | local put 8 6/x, remote put 5 /a (conflict from desk 222222)',
  ],
  ['file 1 as A', 'nothing', 'remote put 5 /A'],
  ['file 1 as A', 'file 1', 'adopt 5 as 6 | local move 6 /a'],
  ['file 1 as A', 'file 2', 'local move 5 /A (conflict from desk 111111) | local put 6 /a, remote put 5 /A (conflict from desk 111111)'],
  ['file 1 as A', 'file 1 as A', 'adopt 5 as 6 | record 6'],
  ['file 1 as A', 'file 1, mode', 'adopt 5 as 6 | local move 6 /a | local touch 6'],
  ['file 1 as A', 'symlink', 'local move 5 /A (conflict from desk 111111) | local put 6 /a, remote put 5 /A (conflict from desk 111111)'],
  ['file 1 as A', 'folder', 'local move 5 /A (conflict from desk 111111) | local make 6 /a | remote put 5 /A (conflict from desk 111111)'],
  [
    'file 1 as A',
    'folder A with file',
    'local move 5 /A (conflict from desk 111111) | local make 6 /A | local put 8 6/x, remote put 5 /A (conflict from desk 111111)',
  ],
  ['file 1, mode', 'nothing', 'remote put 5 /a'],
  ['file 1, mode', 'file 1', 'adopt 5 as 6 | local touch 6'],
  ['file 1, mode', 'file 2', 'local move 5 /a (conflict from desk 111111) | local put 6 /a, remote put 5 /a (conflict from desk 111111)'],
  ['file 1, mode', 'file 1 as A', 'adopt 5 as 6 | local move 6 /A | local touch 6'],
  ['file 1, mode', 'file 1, mode', 'adopt 5 as 6 | record 6'],
  ['file 1, mode', 'symlink', 'local move 5 /a (conflict from desk 111111) | local put 6 /a, remote put 5 /a (conflict from desk 111111)'],
  ['file 1, mode', 'folder', 'local move 5 /a (conflict from desk 111111) | local make 6 /a | remote put 5 /a (conflict from desk 111111)'],
  [
    'file 1, mode',
    'folder A with file',
    'local move 5 /a (conflict from desk 111111) | local make 6 /A | local put 8 6/x, remote put 5 /a (conflict from desk 111111)',
  ],
  ['symlink', 'nothing', 'remote put 5 /a'],
  ['symlink', 'file 1', 'local move 5 /a (conflict from desk 553fcf) | local put 6 /a, remote put 5 /a (conflict from desk 553fcf)'],
  ['symlink', 'file 2', 'local move 5 /a (conflict from desk 553fcf) | local put 6 /a, remote put 5 /a (conflict from desk 553fcf)'],
  ['symlink', 'file 1 as A', 'local move 5 /a (conflict from desk 553fcf) | local put 6 /A, remote put 5 /a (conflict from desk 553fcf)'],
  ['symlink', 'file 1, mode', 'local move 5 /a (conflict from desk 553fcf) | local put 6 /a, remote put 5 /a (conflict from desk 553fcf)'],
  ['symlink', 'symlink', 'adopt 5 as 6 | record 6'],
  ['symlink', 'folder', 'local move 5 /a (conflict from desk 553fcf) | local make 6 /a | remote put 5 /a (conflict from desk 553fcf)'],
  [
    'symlink',
    'folder A with file',
    'local move 5 /a (conflict from desk 553fcf) | local make 6 /A | local put 8 6/x, remote put 5 /a (conflict from desk 553fcf)',
  ],
  ['folder', 'nothing', 'remote make 5 /a'],
  ['folder', 'file 1', 'local move 5 /a (conflict from desk 53b2cd), remote make 5 /a (conflict from desk 53b2cd) | local put 6 /a'],
  ['folder', 'file 2', 'local move 5 /a (conflict from desk 53b2cd), remote make 5 /a (conflict from desk 53b2cd) | local put 6 /a'],
  ['folder', 'file 1 as A', 'local move 5 /a (conflict from desk 53b2cd), remote make 5 /a (conflict from desk 53b2cd) | local put 6 /A'],
  ['folder', 'file 1, mode', 'local move 5 /a (conflict from desk 53b2cd), remote make 5 /a (conflict from desk 53b2cd) | local put 6 /a'],
  ['folder', 'symlink', 'local move 5 /a (conflict from desk 53b2cd), remote make 5 /a (conflict from desk 53b2cd) | local put 6 /a'],
  ['folder', 'folder', 'adopt 5 as 6 | record 6'],
  ['folder', 'folder A with file', 'adopt 5 as 6 | local move 6 /A | local put 8 6/x'],
  ['folder A with file', 'nothing', 'remote make 5 /A | remote put 7 5/x'],
  [
    'folder A with file',
    'file 1',
    'local move 5 /A (conflict from desk 53a0ad), remote make 5 /A (conflict from desk 53a0ad) | local put 6 /a, remote put 7 5/x',
  ],
  [
    'folder A with file',
    'file 2',
    'local move 5 /A (conflict from desk 53a0ad), remote make 5 /A (conflict from desk 53a0ad) | local put 6 /a, remote put 7 5/x',
  ],
  [
    'folder A with file',
    'file 1 as A',
    'local move 5 /A (conflict from desk 53a0ad), remote make 5 /A (conflict from desk 53a0ad) | local put 6 /A, remote put 7 5/x',
  ],
  [
    'folder A with file',
    'file 1, mode',
    'local move 5 /A (conflict from desk 53a0ad), remote make 5 /A (conflict from desk 53a0ad) | local put 6 /a, remote put 7 5/x',
  ],
  [
    'folder A with file',
    'symlink',
    'local move 5 /A (conflict from desk 53a0ad), remote make 5 /A (conflict from desk 53a0ad) | local put 6 /a, remote put 7 5/x',
  ],
  ['folder A with file', 'folder', 'adopt 5 as 6 | local move 6 /a | remote put 7 6/x'],
  ['folder A with file', 'folder A with file', 'adopt 5 as 6 | adopt 7 as 8 | record 6, record 8'],
];

test('something new on both sides under one name', () => {
  check(NEW, { local: newStates(5), remote: newStates(6) }, (local, remote) => worldFrom({ local, remote }));
});
