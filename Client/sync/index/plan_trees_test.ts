import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldName } from '../../../Models/names.ts';
import { ROOT, type TreeNode } from '../core/tree.ts';
import { planTrees } from './plan_trees.ts';

const file = (id: number, name: string): TreeNode => ({
  ...{ id, parent: ROOT, name, kind: 'file', content: 'c', mode: 0o644, mtimeUs: 0 },
});

/** Three files were agreed on in the root; these are new here. */
function treesOf(newNames: readonly string[]) {
  const agreed = [{ ...file(ROOT, ''), kind: 'folder' as const }, file(2, 'a'), file(3, 'B'), file(4, 'c')];
  const below = agreed.slice(1);
  const asked: string[] = [];
  const trees = planTrees(
    {
      get: (id) => agreed.find((node) => node.id === id),
      children: (_parent, atMost = below.length) => {
        asked.push('children');
        return below.slice(0, atMost);
      },
      named: (_parent, key) => {
        asked.push(`named ${key}`);
        return below.filter(({ name }) => foldName(name) === key);
      },
    },
    { differing: [], local: [...newNames.entries()].map(([i, name]) => [100 + i, file(100 + i, name)] as const), remote: [[4, null]] },
  );
  const ids = (name: string): number[] => [...trees.local.named(ROOT, foldName(name))].map(({ id }) => id);
  const idsThere = (name: string): number[] => [...trees.remote.named(ROOT, foldName(name))].map(({ id }) => id);
  return { asked, ids, idsThere };
}

test('what was agreed in a folder is asked for once where as much differs, else by its names; both tell the same', () => {
  for (const [names, questions] of [
    [['b', 'x', 'y'], ['children']],
    [
      ['b', 'x'],
      ['children', 'named B', 'named C', 'named B', 'named C'],
    ],
  ] as const) {
    const { asked, ids, idsThere } = treesOf(names);
    assert.deepEqual(ids('B'), [3, 100]);
    assert.deepEqual(ids('c'), [4]);
    assert.deepEqual(idsThere('b'), [3]);
    assert.deepEqual(idsThere('c'), []); // gone there
    assert.deepEqual(asked, questions);
  }
});
