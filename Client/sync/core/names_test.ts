import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../../Models/limits.ts';
import { nameProblem } from '../../../Models/names.ts';
import { conflictName, parkedName, unparkedName } from './names.ts';
import type { TreeNode } from './tree.ts';

const FREE = (): boolean => false;

function file(name: string, over: Partial<TreeNode> = {}): TreeNode {
  return { id: 2, parent: 1, name, kind: 'file', content: 'abcdef0123', mode: 0, mtimeUs: 0, ...over };
}

const COPIES: readonly [name: string, over: Partial<TreeNode>, copy: string][] = [
  ['a.txt', {}, 'a (conflict from desk abcdef).txt'],
  ['a', {}, 'a (conflict from desk abcdef)'],
  ['.profile', {}, '.profile (conflict from desk abcdef)'],
  ['a.tar.gz', {}, 'a.tar (conflict from desk abcdef).gz'],
  ['a. this is no extension', {}, 'a. this is no extension (conflict from desk abcdef)'],
  ['a (conflict from lap 123456).txt', {}, 'a (conflict from desk abcdef).txt'],
  ['a (conflict from lap 123456 2).txt', {}, 'a (conflict from desk abcdef).txt'],
];

for (const [name, over, copy] of COPIES) {
  test(`a copy of ${name} is called ${copy}`, () => {
    assert.equal(conflictName(file(name, over), 'desk', FREE), copy);
  });
}

test('a folder and a symlink have digits of their own, the same each time', () => {
  const folder = file('d.d', { kind: 'folder', content: '' });
  assert.match(conflictName(folder, 'desk', FREE), /^d\.d \(conflict from desk [0-9a-f]{6}\)$/);
  const link = (target: string): string => conflictName(file('l', { kind: 'symlink', content: target }), 'desk', FREE);
  assert.equal(link('x'), link('x'));
  assert.notEqual(link('x'), link('y'));
});

test('a name in use gets a number', () => {
  const used = new Set(['a (conflict from desk abcdef).txt', 'a (conflict from desk abcdef 2).txt']);
  assert.equal(
    conflictName(file('a.txt'), 'desk', (name) => used.has(name)),
    'a (conflict from desk abcdef 3).txt',
  );
});

test('whatever the device is called and however long the name is, the copy has a name that can be had', () => {
  for (const device of ['', 'a/b', 'x\u0000y', '(x)', 'é'.repeat(300), '\ud83d\ude00'.repeat(30)]) {
    for (const name of ['a', 'x'.repeat(LIMITS.nameBytesMax), `${'ß'.repeat(125)}.jpeg`, '\ud83d\ude00'.repeat(63)]) {
      const copy = conflictName(file(name), device, FREE);
      assert.equal(nameProblem(copy), null, copy);
      assert.equal(conflictName(file(copy), device, FREE), copy);
    }
  }
});

test('a parked name leads back to the name before, for that node alone', () => {
  const parked = parkedName(file('a.txt'), FREE);
  assert.ok(parked !== null);
  assert.equal(unparkedName(2, parked), 'a.txt');
  assert.equal(unparkedName(3, parked), parked);
  assert.equal(unparkedName(2, 'a.txt'), 'a.txt');
  const second = parkedName(file('a.txt'), (name) => name === parked);
  assert.ok(second !== null && second !== parked);
  assert.equal(unparkedName(2, second), 'a.txt');
});
