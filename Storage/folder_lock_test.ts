import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { lockFolder } from './folder_lock.ts';

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-lock-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a folder is held once for each name, and free again when it is let go', async (t) => {
  const folder = await newFolder(t);
  for (let n = 0; n < 2; n += 1) {
    using _held = lockFolder(folder, 'server');
    using _other = lockFolder(folder, 'auth');
    assert.throws(() => lockFolder(folder, 'server'), { code: 'data_folder_locked' });
  }
  assert.throws(() => lockFolder(join(folder, 'missing'), 'server'), { code: 'data_folder_unusable' });
});

test('the lock file is for its owner only, whatever the umask', async (t) => {
  const folder = await newFolder(t);
  const before = process.umask(0o022);
  t.after(() => process.umask(before));
  using _held = lockFolder(folder, 'server');
  assert.equal((await stat(join(folder, 'server.lock'))).mode & 0o777, 0o600);
});
