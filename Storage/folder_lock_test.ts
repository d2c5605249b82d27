import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { lockFolder } from './folder_lock.ts';

test('a folder is held once for each name, and free again when it is let go', async (t) => {
  const folder = await temporaryFolder(t);
  for (let n = 0; n < 2; n += 1) {
    using _held = lockFolder(folder, 'server');
    using _other = lockFolder(folder, 'auth');
    assert.throws(() => lockFolder(folder, 'server'), { code: 'data_folder_locked' });
  }
  assert.throws(() => lockFolder(join(folder, 'missing'), 'server'), { code: 'data_folder_unusable' });
});

test('the lock file is for its owner only, whatever the umask', async (t) => {
  const folder = await temporaryFolder(t);
  const before = process.umask(0o022);
  t.after(() => process.umask(before));
  using _held = lockFolder(folder, 'server');
  assert.equal((await stat(join(folder, 'server.lock'))).mode & 0o777, 0o600);
});
