import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROUTES } from '../Models/routes.ts';
import { assertConverged, Device, openDevices, openWorld, type SyncWorld, settle, watching } from './sync_devices.ts';

const PATIENCE_MS = 60_000; // of a test for what takes milliseconds on a quiet machine
const LOOK_AGAIN_MS = 2;

let world: SyncWorld;

before(async () => {
  world = await openWorld();
});

after(() => world[Symbol.asyncDispose]());

/** @returns after how long it was so, ms */
async function when(condition: () => boolean, what: string): Promise<number> {
  const since = performance.now();
  while (!condition()) {
    assert.ok(performance.now() - since < PATIENCE_MS, `${what} does not happen`);
    await sleep(LOOK_AGAIN_MS);
  }
  return performance.now() - since;
}

const holds = (device: Device, path: string, content: string): boolean => device.has(path) && device.read(path) === content;

test('a file saved on one device is on the other, both ways, by itself', async (t) => {
  const [a, b] = await watching(world, t);
  const latencies: number[] = [];
  for (let i = 0; i < 10; i += 1) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
    const content = randomBytes(2048).toString('hex');
    from.write(`folder/file-${i % 3}`, content);
    latencies.push(await when(() => holds(to, `folder/file-${i % 3}`, content), 'the save'));
  }
  latencies.sort((one, other) => one - other);
  t.diagnostic(`saved here, there after ${latencies.map((ms) => Math.round(ms)).join(', ')} ms`);
  a.move('folder/file-0', 'moved');
  await when(() => b.has('moved') && !b.has('folder/file-0'), 'the move');
  b.remove('folder');
  await when(() => !a.has('folder'), 'the delete');
  await assertConverged([a, b]);
});

test('a folder that stays on the server for what is left out here, and is brought back under another name, is moved there at once', async (t) => {
  const [a, b] = await openDevices(world, 2);
  assert.ok(a !== undefined && b !== undefined);
  t.after(() => Promise.all([a.close(), b.close()]));
  a.write('folder/one');
  a.write('folder/theirs.keep');
  await settle(a, b);
  await b.reopen({ exclude: ['*.keep'] });
  await settle(b);
  const away = join(b.home, 'away');
  renameSync(b.path('folder'), away);
  for (let tries = 0; tries < 12; tries += 1) await b.sync.once(); // until the wait for the next try is as long as it gets: a minute
  assert.equal(b.reason('folder'), 'folder_not_empty');
  b.sync.start();
  await b.until('idle');
  renameSync(away, b.path('back'));
  await t.waitFor(() => assert.equal(b.reason('back/one'), 'in_sync'), { timeout: 30_000, interval: LOOK_AGAIN_MS });
  assert.equal(b.reason('folder'), undefined);
  await settle(a);
  assert.deepEqual(readdirSync(a.path('back')).sort(), ['one', 'theirs.keep']);
});

test('while paused nothing is sent or fetched, and everything is afterwards', async (t) => {
  const [a, b] = await watching(world, t);
  await b.sync.pause();
  await b.until('paused');
  a.write('from a');
  b.write('from b');
  await when(() => a.reason('from a') === 'in_sync', 'the upload');
  assert.equal(b.reason('from b'), 'paused');
  assert.ok(!b.has('from a'));
  assert.ok(!(await a.remoteNames()).includes('from b'));
  await b.reopen();
  b.sync.start();
  await b.until('paused');
  await b.sync.resume();
  await when(() => b.has('from a') && a.has('from b'), 'what was held up');
  await assertConverged([a, b]);
});

test('a file that is written to all the time is sent once it is still', async (t) => {
  const [a, b] = await watching(world, t);
  for (let i = 0; i < 40; i += 1) {
    a.write('restless', `${i}`.repeat(1000));
    await sleep(3);
  }
  a.write('restless', 'the end');
  await when(() => holds(b, 'restless', 'the end'), 'the last save');
  await assertConverged([a, b]);
});

test('a name that cannot be synced makes no work', async (t) => {
  const [a] = await watching(world, t);
  a.write('name');
  await when(() => a.reason('name') === 'in_sync', 'the upload');
  a.write('NAME');
  await when(() => a.reason('NAME') === 'name_collides', 'the reason');
  let passes = 0;
  a.sync.on(({ type }) => {
    if (type === 'pass') passes += 1;
  });
  await sleep(300);
  assert.ok(passes < 5, `${passes} passes`);
});

test('limits of the rate are obeyed, each way, and can be taken away while it runs', async (t) => {
  const [a, b] = await openDevices(world, 2);
  assert.ok(a !== undefined && b !== undefined);
  t.after(() => Promise.all([a.close(), b.close()]));
  await settle(a, b);
  const bytesPerSecond = 400_000;
  const bytes = 400_000;
  for (const [device, direction] of [
    [a, 'up'],
    [b, 'down'],
  ] as const) {
    if (direction === 'up') a.write('paced', randomBytes(bytes));
    await device.sync.limit({ [direction]: bytesPerSecond });
    const since = performance.now();
    await settle(device);
    const tookMs = performance.now() - since;
    t.diagnostic(`${direction}: ${bytes} bytes at ${bytesPerSecond} a second took ${Math.round(tookMs)} ms`);
    assert.ok(tookMs > (bytes / bytesPerSecond) * 1000 * 0.8, `${direction}: ${Math.round(tookMs)} ms`);
  }
  await a.sync.limit({ up: 50_000 });
  a.write('slow at first', randomBytes(5_000_000));
  const passing = a.sync.once();
  const since = performance.now();
  await sleep(200);
  await a.sync.limit({ up: null });
  await passing;
  assert.ok(performance.now() - since < 30_000);
  await b.sync.limit({ down: null });
  await assertConverged([a, b]);
});

test('a restore, a rewind and its undo arrive at devices that watch, and nothing is lost', async (t) => {
  const user = await world.user();
  const [a, b] = [new Device(world, user), new Device(world, user)] as const;
  for (const device of [a, b]) await device.open();
  t.after(() => Promise.all([a.close(), b.close()]));
  await settle(a, b);
  for (const device of [a, b]) device.sync.start();
  const devices = [a, b];
  const eachHolds = (path: string, content: string) =>
    when(() => devices.every((device) => holds(device, path, content)), `${path}: ${content}`);
  const post = async (route: string, payload: object) => {
    const answer = await world.server.ask(user, { method: 'POST', url: route, payload });
    assert.equal(answer.status, 200, answer.bytes.toString());
    return answer.json();
  };
  for (const content of ['first', 'second', 'third']) {
    a.write('f', content);
    await eachHolds('f', content);
  }
  b.write('folder/deep/kept', 'kept');
  await eachHolds('folder/deep/kept', 'kept');

  const url = `${ROUTES.versions}?${new URLSearchParams({ path: '/work/f' })}`;
  const { versions } = (await world.server.ask(user, { method: 'GET', url })).json();
  await post(ROUTES.restore, { path: '/work/f', version: versions.at(-1).version });
  await eachHolds('f', 'first');

  const { cursor } = (await world.server.ask(user, { method: 'GET', url: `${ROUTES.changes}?limit=1000` })).json();
  a.write('f', 'fourth');
  b.write('made since', 'by b');
  a.move('folder/deep', 'moved');
  await eachHolds('f', 'fourth');
  await eachHolds('made since', 'by b');
  await eachHolds('moved/kept', 'kept');
  await when(() => devices.every((device) => !device.has('folder/deep')), 'the move');
  for (const device of devices) await device.until('idle');

  const { plan, conflicts } = await post(ROUTES.rewind, { path: '/work', cursor });
  assert.deepEqual(conflicts, []);
  b.write('meanwhile', 'not known to the server yet');
  const { operation } = await post(ROUTES.plans, { plan });
  await eachHolds('f', 'first');
  await eachHolds('folder/deep/kept', 'kept');
  await when(() => devices.every((device) => !device.has('made since') && !device.has('moved')), 'the rewind');
  await eachHolds('meanwhile', 'not known to the server yet');

  await post(ROUTES.plans, { plan: (await post(ROUTES.undo, { operation })).plan });
  await eachHolds('f', 'fourth');
  await eachHolds('made since', 'by b');
  await eachHolds('moved/kept', 'kept');
  await assertConverged(devices);
  assert.deepEqual(
    devices.flatMap((device) => device.sync.conflicts()),
    [],
  );
  assert.deepEqual(
    readdirSync(a.local)
      .filter((name) => !name.startsWith('.'))
      .sort(),
    ['f', 'folder', 'made since', 'meanwhile', 'moved'],
  );
});
