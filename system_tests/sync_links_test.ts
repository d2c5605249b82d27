import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { after, before, type TestContext, test } from 'node:test';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { openProxy } from './cutting_proxy.ts';
import { runClient } from './sync_client_process.ts';
import { assertConverged, Device, openWorld, type SyncWorld, settle } from './sync_devices.ts';
import { openSlowLink } from './sync_slow_link.ts';

const TRIES_MAX = 10;
const LONGEST_CHUNK = LIMITS.chunkBytesMax + 400_000; // bytes with what goes along: a chunk that never fits between two cuts never comes over

let world: SyncWorld;

before(async () => {
  world = await openWorld();
});

after(() => world[Symbol.asyncDispose]());

async function over(t: TestContext, url: string): Promise<[Device, Device]> {
  const user = await world.user();
  const devices: [Device, Device] = [new Device(world, user, { url }), new Device(world, user, { url })];
  t.after(() => Promise.all(devices.map((device) => device.close())));
  for (const device of devices) await device.open();
  return devices;
}

/** A pass gives up after some time without any success; whoever watches tries again. */
async function isSettled(...devices: readonly Device[]): Promise<boolean> {
  try {
    await settle(...devices);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'server_unreachable') return false;
    throw error;
  }
}

const port = (): number => Number(new URL(world.url).port);

test('connections that are cut in the middle, again and again, delay what is sent and fetched, and nothing else', async (t) => {
  const seed = testSeed('links in a sync');
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  let calm = false;
  await using proxy = await openProxy(port(), () => (calm ? Number.POSITIVE_INFINITY : LONGEST_CHUNK + random() * 3_000_000));
  const [a, b] = await over(t, proxy.url);
  for (let i = 0; i < 200; i += 1) a.write(`small/${i}`, randomBytes(Math.floor(random() * 8000)));
  a.write('large', randomBytes(16_000_000));
  b.write('other', randomBytes(4_000_000));
  let tries = 1;
  while (!(await isSettled(a, b))) {
    tries += 1;
    assert.ok(tries < TRIES_MAX, 'it does not come any further');
  }
  t.diagnostic(`${proxy.cuts} cuts, ${tries} tries`);
  calm = true;
  await assertConverged([a, b]);
  assert.ok(proxy.cuts >= 3);
});

test('over a slow line two devices that watch become the same', async (t) => {
  await using link = await openSlowLink(port(), { bytesPerSecond: 4_000_000, delayMs: 10 });
  const [a, b] = await over(t, link.url);
  await settle(a, b);
  for (const device of [a, b]) device.sync.start();
  for (const device of [a, b]) await device.until('idle');
  a.write('large', randomBytes(3_000_000));
  for (let i = 0; i < 30; i += 1) (i % 2 === 0 ? a : b).write(`small/${i}`, randomBytes(3000));
  await assertConverged([a, b]);
});

test('a device that is killed while folders come over has them with their times in the end', async (t) => {
  const [a, b] = await over(t, world.url);
  for (let i = 0; i < 300; i += 1) a.write(`folder-${i % 30}/sub/${i}`, randomBytes(2000));
  for (let i = 0; i < 10; i += 1) mkdirSync(a.path(`folder-${i}/empty`));
  await settle(a);
  await b.close();
  const made = Promise.withResolvers<void>();
  const login = await b.login();
  const client = await runClient({
    ...login,
    watch: true,
    onEvent: (event) => {
      if (event.type === 'done' && event.done.kind === 'put') made.resolve();
    },
  });
  await made.promise;
  await client.kill();
  await b.open();
  await assertConverged([a, b]);
});
