import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { unansweredChance } from '../Client/testing/unanswered.ts';
import { encodeServer } from '../Models/datagrams.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { quickFolder } from '../Storage/testing/quick_folder.ts';
import { exchangeThrough, virtualLogins } from './virtual_logins.ts';
import { createVirtualTime } from './virtual_time.ts';

const CLEAN = { loss: 0, duplicate: 0, reorder: 0, delayMs: 40 };

async function daemonFor(t: TestContext): Promise<Awaited<ReturnType<typeof startDaemon>>> {
  const folder = await mkdtemp(join(quickFolder(), 'driftless-virtual-'));
  const daemon = await startDaemon(folder);
  t.after(async () => {
    await daemon[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  return daemon;
}

test('a login takes four round trips and the stretching, where nothing is lost', async (t) => {
  const base = await daemonFor(t);
  assert.deepEqual(await virtualLogins({ base, faults: CLEAN, logins: 2, stretchingMs: 222, seed: 1, lanes: 1 }), [542, 542]);
});

test('logins through a link that loses, repeats and reorders succeed, and the daemon has their sessions live', async (t) => {
  const base = await daemonFor(t);
  const seed = testSeed('logins in virtual time');
  t.diagnostic(`seed ${seed}`);
  const faults = { loss: 0.3, duplicate: 0.2, reorder: 0.3, delayMs: 40 };
  const times = await virtualLogins({ base, faults, logins: 60, stretchingMs: 222, seed, lanes: 20 });
  assert.equal(times.filter((ms) => ms !== null).length, 60);
  const users = await base.accounts.users('');
  assert.equal(
    users.reduce((total, { sessions }) => total + sessions, 0),
    60,
  );
});

test('a request through a very bad link stays unanswered as often as is computed from when it is sent again', async (t) => {
  const seed = testSeed('logins through a bad link');
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const time = createVirtualTime();
  const faults = { ...CLEAN, loss: 0.7 };
  const retry = { cookie: new Uint8Array(16), daemonKey: new Uint8Array(32) };
  const deliver = async (datagram: Uint8Array) => encodeServer('retry', datagram.subarray(4, 20), retry);
  const requests = 2000;
  let unanswered = 0;
  for (let n = 0; n < requests; n += 1) {
    const exchange = exchangeThrough({ time, random, jitter: () => 0.5, faults, deliver }, n);
    const sinceMs = time.nowMs();
    const asked = exchange.request(new Uint8Array(1200).fill(n % 251, 4, 20), () => true);
    if (await time.until(asked.catch(() => false))) continue;
    unanswered += 1;
    assert.equal(time.nowMs() - sinceMs, 30_000);
  }
  const chance = unansweredChance({ loss: 0.7, roundTripMs: 80, jitter: 0.5 });
  const deviation = Math.sqrt((chance * (1 - chance)) / requests);
  t.diagnostic(`${unanswered} of ${requests}, computed ${(chance * requests).toFixed(0)}`);
  assert.ok(Math.abs(unanswered / requests - chance) < 6 * deviation); // a sound one is beyond it once in 10^8, beyond 5 once in 640,000
});
