import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError, type ErrorCode } from './errors.ts';
import { readAnchored, splitPath, writeAnchored } from './names.ts';

const refused = (run: () => unknown, code: ErrorCode, why: string): void =>
  assert.throws(run, (error: unknown) => error instanceof AppError && error.code === code, why);

test('an anchored path is a node and the names below it', () => {
  for (const [path, id, below] of [
    ['@1', 1, []],
    ['@9007199254740991', 9_007_199_254_740_991, []],
    ['@12/a', 12, ['a']],
    ['@12/a/@b/é', 12, ['a', '@b', 'é']],
  ] as const) {
    assert.deepEqual(readAnchored(path), { id, below });
    assert.equal(writeAnchored(id, ...below), path);
  }
  assert.deepEqual(readAnchored('@12/'), { id: 12, below: [] });
  assert.equal(readAnchored('/@12'), null);
  assert.equal(readAnchored('a'), null);
});

test('what is no node, or no name below one, is refused', () => {
  for (const path of ['@', '@0', '@01', '@-1', '@1.5', '@1e3', '@0x1', '@ 1', '@a', '@9007199254740992', '@99999999999999999', '@/a']) {
    refused(() => readAnchored(path), 'path_invalid', path);
  }
  for (const path of ['@1//', '@1//a', '@1/a//b', '@1/..', '@1/./a', '@1/\0']) refused(() => readAnchored(path), 'name_invalid', path);
  refused(() => readAnchored(`@1${'/d'.repeat(129)}`), 'path_invalid', 'too deep');
  refused(() => splitPath('@1/a'), 'path_invalid', 'an ordinary path is never anchored');
});
