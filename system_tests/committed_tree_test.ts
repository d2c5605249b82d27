import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { committedTree, withoutGit } from './committed_tree.ts';

test('a repository names the tree of its commit, and nothing that merely lies in it', async (t) => {
  const repository = await temporaryFolder(t);
  const copy = join(repository, 'copy');
  await mkdir(copy);
  assert.deepEqual([committedTree(repository), committedTree(copy)], ['no commit', 'no commit']);
  const git = (...command: string[]): unknown =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'core.hooksPath=/dev/null', ...command], {
      cwd: repository,
      env: withoutGit(),
    });
  try {
    git('init', '-q');
  } catch {
    return t.skip('there is no git');
  }
  git('commit', '-q', '--allow-empty', '--no-gpg-sign', '-m', 'one');
  assert.match(committedTree(repository), /^[0-9a-f]{40,64}$/);
  assert.equal(committedTree(copy), 'no commit');
});
