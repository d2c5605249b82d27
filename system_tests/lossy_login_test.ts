import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { lossyLink } from '../Authentication/testing/lossy_link.ts';
import { openBareClient } from '../Client/testing/auth_client.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';

const PASSWORD = 'correct horse battery';

test('a hundred logins at once through a link that loses 30 % each way, repeats and reorders: at least 99 succeed', async (t) => {
  const folder = await temporaryFolder(t);
  const seed = 20_261;
  t.diagnostic(`seed ${seed}`);
  await using server = await startDaemon(join(folder, 'data'));
  await using client = openBareClient();
  const direct = await client.exchange(server.address);
  await client.register(direct, { username: 'alice', password: PASSWORD });
  direct.close();
  await using link = await lossyLink({ target: server.address, loss: 0.3, duplicate: 0.2, reorder: 0.3, delayMs: 5, seed });
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, async () => {
      const exchange = await client.exchange(link.address);
      const begun = performance.now();
      try {
        return { granted: await client.login(exchange, { username: 'alice', password: PASSWORD }), ms: performance.now() - begun };
      } finally {
        exchange.close();
      }
    }),
  );
  const done = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
  const times = done.map(({ ms }) => ms).sort((one, other) => one - other);
  t.diagnostic(`${done.length} of 100, median ${times[50]?.toFixed(0)} ms, slowest ${times.at(-1)?.toFixed(0)} ms`);
  assert.ok(done.filter(({ ms }) => ms <= 30_000).length >= 99);
  const ids = new Set(done.map(({ granted }) => Buffer.from(granted.grant.sessionId).toString('hex')));
  assert.equal(ids.size, done.length);
  for (const id of ids) assert.equal((await server.accounts.session(id))?.state, 'live');
});
