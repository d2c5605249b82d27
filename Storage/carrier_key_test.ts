import assert from 'node:assert/strict';
import { chmod, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { openCarrierKey } from './carrier_key.ts';

test('whoever comes first makes the key, all get the same, and it is for its owner and the group only', async (t) => {
  const folder = await temporaryFolder(t);
  const keys = await Promise.all(Array.from({ length: 8 }, () => openCarrierKey(folder)));
  assert.equal(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size, 1);
  assert.equal(keys[0]?.length, 32);
  const path = join(folder, 'auth', 'carrier_key');
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  assert.deepEqual(await readdir(join(folder, 'auth')), ['carrier_key']);
  for (const mode of [0o644, 0o660]) {
    await chmod(path, mode);
    await assert.rejects(openCarrierKey(folder), { code: 'data_folder_unusable', message: /others may use/ });
  }
  await chmod(path, 0o600);
  await writeFile(path, 'short');
  await assert.rejects(openCarrierKey(folder), { code: 'data_folder_unusable', message: /damaged/ });
});
