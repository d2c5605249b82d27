import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openSecrets } from '../Authentication/secrets.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { startPostgres } from '../Storage/testing/postgres.ts';

const ADMIN = fileURLToPath(new URL('../Authentication/admin/driftless_admin.js', import.meta.url));

test('the administrator’s program works on PostgreSQL, with the password from the environment', async (t) => {
  const folder = await temporaryFolder(t);
  const postgres = await startPostgres();
  t.after(() => postgres.close());
  await openSecrets(folder, { mayCreate: true });
  const env = {
    PATH: process.env.PATH,
    DRIFTLESS_DATA: folder,
    DRIFTLESS_DATABASE: await postgres.createDatabase(t),
    DRIFTLESS_PASSWORD: 'canary-4c1d password',
  };
  const admin = async (...words: string[]) => {
    const { stdout } = await promisify(execFile)(process.execPath, [ADMIN, ...words, '--json'], { env });
    return JSON.parse(stdout);
  };
  const { id } = await admin('users', 'add', 'alice');
  assert.deepEqual(await admin('users', 'set-quota', 'ALICE', '2GB'), { user: 'alice', quota: 2e9 });
  assert.equal((await admin('users', 'delete', 'alice', '--yes')).state, 'deleted');
  const [{ createdAtMs, ...listed }] = await admin('users', 'list');
  assert.deepEqual(listed, { id, name: 'alice', role: 'user', state: 'deleted', sessions: 0, lastSeenMs: null });
  assert.ok(Math.abs(createdAtMs - Date.now()) < 60_000);
  const audit = (await admin('audit')) as { what: string; userId: string }[];
  assert.deepEqual(
    audit.map(({ what, userId }) => [what, userId]),
    [
      ['user_deleted', id],
      ['limits_changed', id],
      ['user_added', id],
    ],
  );
  assert.ok(!JSON.stringify(audit).includes('canary'));
});
