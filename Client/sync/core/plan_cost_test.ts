import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldName } from '../../../Models/names.ts';
import type { PlanInput } from './actions.ts';
import { plan } from './plan.ts';
import { type NodeId, ROOT, type Tree, type TreeNode } from './tree.ts';

const FOLDERS = 1000;
const FILES = 1000; // in each

/** A million files that are made when they are asked for; ids: 2 and up the folders, then the files. */
function hugeTree(overlay: ReadonlyMap<NodeId, TreeNode | null>, asked: { count: number }): Tree {
  const firstFile = 2 + FOLDERS;
  function original(id: NodeId): TreeNode | undefined {
    if (id < 2 || id >= firstFile + FOLDERS * FILES) return undefined;
    const attributes = { mode: 0, mtimeUs: 0 };
    if (id < firstFile) return { id, parent: ROOT, name: `d${id}`, kind: 'folder', content: '', ...attributes };
    const parent = 2 + Math.floor((id - firstFile) / FILES);
    return { id, parent, name: `f${(id - firstFile) % FILES}`, kind: 'file', content: '000000', ...attributes };
  }
  function get(id: NodeId): TreeNode | undefined {
    asked.count += 1;
    const changed = overlay.get(id);
    return changed === undefined ? original(id) : (changed ?? undefined);
  }
  function* children(parent: NodeId): Iterable<TreeNode> {
    const first = parent === ROOT ? 2 : firstFile + (parent - 2) * FILES;
    for (let id = first; id < first + (parent === ROOT ? FOLDERS : FILES); id += 1) {
      const node = get(id);
      if (node?.parent === parent) yield node;
    }
    for (const [id, node] of overlay) if (node?.parent === parent && original(id)?.parent !== parent) yield node;
  }
  function named(parent: NodeId, key: string): TreeNode[] {
    asked.count += 1;
    const number = Number(/^[DF](\d+)$/.exec(key)?.[1] ?? -1);
    const node = number < 0 ? undefined : get(parent === ROOT ? number : firstFile + (parent - 2) * FILES + number);
    const added = [...overlay.values()].filter(
      (one) => one !== null && one.parent === parent && foldName(one.name) === key && one.id !== node?.id,
    );
    return [node, ...added]
      .filter((one) => one !== undefined && one !== null)
      .filter((one) => one.parent === parent && foldName(one.name) === key);
  }
  return { get, children, named };
}

function inputOf(local: Map<NodeId, TreeNode | null>, remote: Map<NodeId, TreeNode | null>, asked: { count: number }): PlanInput {
  return {
    ancestor: hugeTree(new Map(), asked),
    local: hugeTree(local, asked),
    remote: hugeTree(remote, asked),
    changed: new Set([...local.keys(), ...remote.keys()]),
    held: () => false,
    refused: () => false,
    device: 'desk',
    localFolds: false,
  };
}

test('ten changes among a million files ask for a few dozen nodes', () => {
  const node = (id: NodeId, parent: NodeId, name: string, content = '111111'): TreeNode => ({
    id,
    parent,
    name,
    kind: 'file',
    content,
    mode: 0,
    mtimeUs: 0,
  });
  const local = new Map<NodeId, TreeNode | null>([
    [5002, node(5002, 6, 'f0')],
    [5003, node(5003, 7, 'moved', '000000')],
    [5004, null],
    [2_000_000, node(2_000_000, 8, 'new')],
    [9, { ...node(9, ROOT, 'renamed', ''), kind: 'folder' }],
  ]);
  const remote = new Map<NodeId, TreeNode | null>([
    [8002, node(8002, 9, 'f0')],
    [8003, node(8003, 20, 'f1000', '000000')],
    [8004, null],
    [2_000_001, node(2_000_001, 30, 'new')],
    [10, { ...node(10, 11, 'd10', ''), kind: 'folder' }],
  ]);
  const asked = { count: 0 };
  const found = plan(inputOf(local, remote, asked));
  assert.equal(found.steps.flat().length, 10);
  assert.ok(asked.count < 500, `${asked.count} questions`);
});

test('a row of a hundred thousand renames, each to the next name, is put in order', () => {
  const count = 100_000;
  const at = (id: number, shift: number): TreeNode => ({
    id,
    parent: ROOT,
    name: `i${id + shift}`,
    kind: 'file',
    content: '0',
    mode: 0,
    mtimeUs: 0,
  });
  const row = (shift: number): Tree => ({
    get: (id) => (id > ROOT && id <= count ? at(id, shift) : undefined),
    children: () => [],
    named(parent, key) {
      const id = Number(key.slice(1)) - shift;
      return parent === ROOT && id > ROOT && id <= count ? [at(id, shift)] : [];
    },
  });
  const changed = Array.from({ length: count - 1 }, (_, n) => n + 2);
  const input = {
    ancestor: row(0),
    local: row(1),
    remote: row(0),
    held: () => false,
    refused: () => false,
    device: 'desk',
    localFolds: true,
  };
  const renames = plan({ ...input, changed }).steps.flat();
  const parked = renames.length - changed.length;
  assert.ok(parked >= 0 && parked < changed.length / 100, `${parked} parked`);
  // one end of the row cannot move: nobody can, and that is found out without trying one after the other
  for (const order of [changed, changed.toReversed()]) {
    assert.equal(plan({ ...input, changed: order, held: (id) => id === count }).steps.length, 0);
  }
});
