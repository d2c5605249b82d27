import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

const PROGRAM = `
  import { startPostgres } from ${JSON.stringify(new URL('./postgres.ts', import.meta.url).href)};
  const postgres = await startPostgres();
  console.log(new URL(await postgres.createDatabase({ after: () => undefined })).searchParams.get('host'));
  setInterval(() => undefined, 60_000);
`;

test('the test database ends and leaves nothing when the tests are killed', async (t) => {
  const env = { ...process.env, DRIFTLESS_TEST_POSTGRES: undefined }; // one of its own
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], { stdio: ['ignore', 'pipe', 'inherit'], env });
  t.after(() => child.kill('SIGKILL'));
  const [folder] = (await once(createInterface(child.stdout), 'line')) as [string];
  assert.ok(existsSync(folder));
  const removed = new Promise<void>((resolve) => {
    const watcher = watch(dirname(folder), (_event, name) => {
      if (name !== basename(folder) || existsSync(folder)) return;
      watcher.close();
      resolve();
    });
  });
  child.kill('SIGKILL');
  await removed;
});
