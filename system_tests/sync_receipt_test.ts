import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createHttp } from '../Client/http.ts';
import { type ReceiptMethods, receiptMethods } from '../Client/receipt_methods.ts';
import { ROUTES } from '../Models/routes.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import type { User } from '../Server/testing/server_fixture.ts';
import { Device, openWorld, type SyncWorld, settle } from './sync_devices.ts';

let world: SyncWorld;
before(async () => {
  world = await openWorld();
});
after(() => world[Symbol.asyncDispose]());

type Known = { readonly user: User; readonly me: ReceiptMethods; readonly sessions: ReadonlyMap<Device, string> };

/** Devices of one user, known by name and signed in, and what the user can ask. */
async function devices(t: TestContext, count: number): Promise<Known & { readonly all: Device[] }> {
  const user = await world.user();
  const sessions = new Map<Device, string>();
  for (let n = 1; n <= count; n += 1) {
    const device = new Device(world, user);
    const session = {
      id: randomBytes(16).toString('hex'),
      userId: user.id,
      deviceId: device.id,
      deviceName: `device ${n}`,
      atMs: Date.now(),
    };
    await world.server.accounts.openSession(session);
    sessions.set(device, session.id);
  }
  const all = [...sessions.keys()];
  const ticket = (): Promise<string> => world.server.ticketFor(user, { claims: { dev: all[0]?.id } });
  const http = createHttp({ baseUrl: world.url, ticket, refresh: ticket });
  t.after(async () => {
    await Promise.all(all.map((device) => device.close()));
    await http.close();
  });
  return { user, all, sessions, me: receiptMethods(http) };
}

/** Names of the devices that have the file, and in how many places it is. */
async function has({ me }: Known, path: string): Promise<string> {
  const { devices: there, durable, stores } = await me.places(path);
  assert.equal(durable, stores + there.length);
  return `${durable}: ${there.map(({ name }) => name).sort()}`;
}

const reportsSent = (): number => world.server.logged.filter((line) => line.includes(`"route":"${ROUTES.syncReports}"`)).length;
const [first, second, both] = ['2: device 1', '2: device 2', '3: device 1,device 2'];

test('a file is on the store, then on the device that sent it, then on the one that fetched it; what is left out is on neither', async (t) => {
  const known = await devices(t, 2);
  const [a, b] = known.all as [Device, Device];
  await a.open();
  await b.open({ exclude: ['private/'] });
  a.write('f', 'one');
  a.write('private/g', 'two');
  await settle(a);
  assert.deepEqual([await has(known, '/work/f'), await has(known, '/work/private/g')], [first, first]);
  await settle(b);
  assert.deepEqual([await has(known, '/work/f'), await has(known, '/work/private/g')], [both, first]);
  await b.close();
  a.write('f', 'a new version');
  await settle(a);
  assert.equal(await has(known, '/work/f'), first, 'the other one is off');
  const behind = (await known.me.syncStatus()).map(({ name, behind: changes, state, remote, current }) => [
    name,
    changes,
    state,
    remote,
    current,
  ]);
  assert.deepEqual(behind.sort(), [
    ['device 1', 0, 'offline', '/work', true],
    ['device 2', 1, 'offline', '/work', false],
  ]);
  await b.open({ exclude: ['private/'] });
  await settle(b);
  assert.equal(await has(known, '/work/f'), both);
  a.move('private', 'public');
  await settle(a, b);
  assert.deepEqual([await has(known, '/work/public/g'), b.has('public/g')], [both, true]);
  a.move('public/g', 'public/h');
  mkdirSync(b.path('private'));
  a.move('public', 'private');
  await settle(a, b);
  assert.equal(await has(known, '/work/private/h'), first, 'a folder that goes to where it is left out');
});

test('what is newly left out on a device is not said to be there any more, though it stays', async (t) => {
  const known = await devices(t, 2);
  const [a, b] = known.all as [Device, Device];
  for (const device of [a, b]) await device.open();
  a.write('large/f', 'one');
  await settle(a, b);
  assert.equal(await has(known, '/work/large/f'), both);
  await b.reopen({ exclude: ['large'] });
  await settle(b);
  b.write('large/f', 'changed, and nobody is told');
  await settle(b);
  assert.equal(await has(known, '/work/large/f'), first);
});

test('a pass that changes nothing tells nothing; in a folder that is watched a change is told of by itself', async (t) => {
  const known = await devices(t, 2);
  const [a, b] = known.all as [Device, Device];
  for (const device of [a, b]) await device.open();
  a.write('f', 'one');
  await settle(a, b);
  const before = reportsSent();
  for (const device of [a, b, a]) {
    await device.sync.once();
    await device.reopen();
    await device.sync.once();
  }
  assert.equal(reportsSent(), before);
  assert.equal(await has(known, '/work/f'), both, 'an index that goes on keeps what it said');
  for (const device of [a, b]) device.sync.start();
  for (const device of [a, b]) await device.until('idle');
  const { version } = await known.me.places('/work/f');
  a.write('f', 'two');
  while ((await known.me.places('/work/f')).version === version) await setImmediate();
  const found = await known.me.untilDurable('/work/f', 3, { timeoutMs: 20_000 });
  assert.equal(found.durable, 3);
  assert.equal(b.read('f'), 'two');
  assert.deepEqual(new Set((await known.me.syncStatus()).map(({ state }) => state)), new Set(['in_sync']));
  const early = await known.me.untilDurable('/work/f', 4, { timeoutMs: 300 });
  assert.equal(early.durable, 3);
  await assert.rejects(known.me.untilDurable('/work/f', 4, { signal: AbortSignal.timeout(50) }), { code: 'cancelled' });
  await assert.rejects(known.me.untilDurable('/work/none', 1), { code: 'not_found' });
});

test('a device whose deletes are held, whose folder is gone, or that was signed out, does not count for what it has not', async (t) => {
  const known = await devices(t, 2);
  const [a, b] = known.all as [Device, Device];
  for (const device of [a, b]) await device.open();
  for (let n = 0; n < 200; n += 1) a.write(`folder/${n}`, `${n}`);
  a.write('kept', 'kept');
  await settle(a, b);
  for (let n = 0; n < 150; n += 1) a.remove(`folder/${n}`);
  await settle(a);
  assert.deepEqual([await has(known, '/work/folder/0'), await has(known, '/work/folder/199')], [second, both]);
  assert.ok((await known.me.syncStatus()).some(({ name, held, waiting }) => name === 'device 1' && held && waiting === 150));
  renameSync(a.local, `${a.local}-elsewhere`);
  await a.sync.once();
  assert.equal(await has(known, '/work/kept'), second);
  renameSync(`${a.local}-elsewhere`, a.local);
  await settle(a);
  assert.equal(await has(known, '/work/kept'), both);
  await world.server.accounts.endSession(known.sessions.get(b) ?? '', Date.now());
  assert.equal(await has(known, '/work/kept'), first);
  assert.deepEqual((await known.me.syncStatus()).map(({ name, state }) => `${name} ${state}`).sort(), [
    'device 1 offline',
    'device 2 signed_out',
  ]);
});

test('a device that was set back to an older copy of itself counts for nothing until it has looked', async (t) => {
  const known = await devices(t, 2);
  const [a, b] = known.all as [Device, Device];
  for (const device of [a, b]) await device.open();
  a.write('f', 'one');
  await settle(a, b);
  await b.close();
  const backup = join(world.folder, 'backup');
  cpSync(join(b.home, '..'), backup, { recursive: true });
  await b.open();
  a.write('f', 'two');
  await settle(a, b);
  assert.equal(await has(known, '/work/f'), both);
  await b.close();
  for (const part of ['home', 'local']) {
    rmSync(join(b.home, '..', part), { recursive: true });
    cpSync(join(backup, part), join(b.home, '..', part), { recursive: true });
  }
  rmSync(backup, { recursive: true });
  assert.equal(b.read('f'), 'one');
  await b.open();
  let seen = '';
  b.sync.on((event) => {
    if (event.type === 'healed') seen = 'healed';
  });
  await b.sync.approve().catch(() => undefined);
  await settle(b);
  assert.equal(seen, 'healed');
  assert.equal(await has(known, `/work/f`), both);
  for (const name of await b.remoteNames()) assert.ok(b.has(name), name);
});

/** Content by path below a folder. */
function contentsOf(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !path.includes('.driftless/')) files.set(path.slice(folder.length + 1), readFileSync(path, 'utf8'));
  }
  return files;
}

test('of random days with three devices none is ever said to have what is not on its disk', async (t) => {
  const seed = testSeed('receipts');
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const known = await devices(t, 3);
  const { all, user, me } = known;
  const excludes = new Map(all.map((device, i) => [device, i === 2 ? ['c'] : []]));
  const reported = new Map<string, ReadonlyMap<string, string>>(); // what was on the disk when the device looked last
  for (const device of all) await device.open({ exclude: excludes.get(device) ?? [] });
  await look(all[0] as Device);
  const folders = ['', 'a/', 'a/b/', 'c/', 'd/'];
  const path = (): string => `${pick(folders)}${pick(['f', 'g', 'h'])}`;
  let claims = 0;

  async function look(device: Device): Promise<void> {
    await device.sync.once();
    reported.set(device.id, contentsOf(device.local));
  }

  function edit(device: Device, step: number): void {
    const [from, to] = [pick([path(), pick(folders).slice(0, -1) || 'a']), pick([path(), `${pick(folders)}${pick(['a', 'b', 'c', 'd'])}`])];
    try {
      const what = random();
      if (what < 0.5) device.write(path(), `${step} ${device.id}`);
      else if (what < 0.75) device.move(from, to);
      else device.remove(from);
    } catch (error) {
      assert.match(String((error as NodeJS.ErrnoException).code), /^E/);
    }
  }

  async function onServer(): Promise<{ path: string; kind: string }[]> {
    const principal = { userId: user.id, userName: user.name, deviceId: '' };
    const found: { path: string; kind: string }[] = [];
    for await (const some of world.server.metadata.walkFolders(principal, '/work')) {
      for await (const page of world.server.metadata.readFolders(principal, some))
        for (const { kind, name } of page.entries) found.push({ path: `${page.path}/${name}`, kind });
    }
    return found;
  }

  async function check(step: number): Promise<void> {
    const files = (await onServer()).flatMap(({ path, kind }) => (kind === 'file' ? [path] : []));
    for (const [i, place] of (await me.placesOf(files)).entries()) {
      const file = files[i] as string;
      assert.ok(place !== null);
      if (place.devices.length === 0) continue;
      const content = (
        await world.server.ask(user, { method: 'GET', url: `${ROUTES.files}?${new URLSearchParams({ path: file })}` })
      ).bytes.toString();
      for (const { device, name } of place.devices) {
        assert.equal(reported.get(device)?.get(file.slice('/work/'.length)), content, `${name} and ${file}, step ${step}, seed ${seed}`);
        claims += 1;
      }
    }
  }

  for (let step = 0; step < 60; step += 1) {
    const device = pick(all);
    for (let n = Math.floor(random() * 4); n > 0; n -= 1) edit(device, step);
    if (random() < 0.7) await look(device);
    if (random() < 0.1) await device.reopen({ exclude: excludes.get(device) ?? [] });
    await check(step);
  }
  for (let round = 0; round < 4; round += 1) for (const device of all) await look(device);
  await check(-1);
  assert.ok(claims > 50, `only ${claims} claims were checked`);
  // a folder that was deleted on one side stays on the other for what is in it and is left out here; only a person can decide that
  const kept = new Map(all.map(({ id, sync }) => [id, sync.index.problems().filter(({ reason }) => reason === 'folder_not_empty')]));
  const there = (await onServer()).map(({ path }) => path);
  for (const device of all) {
    for (const { path } of kept.get(device.id) ?? []) {
      const here = existsSync(device.path(path)) ? readdirSync(device.path(path), { recursive: true, encoding: 'utf8' }) : [];
      const below = [...here, ...there.flatMap((one) => (one.startsWith(`/work/${path}/`) ? [one.slice(`/work/${path}/`.length)] : []))];
      const isLeftOut = below.some((one) => one.split('/').some((name) => excludes.get(device)?.includes(name)));
      assert.ok(isLeftOut, `${device.id} keeps ${path} for nothing of ${below.join(', ')}, seed ${seed}`);
    }
  }
  for (const { device, behind, waiting } of await me.syncStatus()) {
    assert.deepEqual([behind, waiting], [0, kept.get(device)?.length], `${device} at the end of seed ${seed}`);
  }
});
