import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, type TestContext, test } from 'node:test';
import { connect, type Driftless, register, type Sync } from '../Client/client.ts';
import { AppError } from '../Models/errors.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { assertConverged, Device, openDevices, openWorld, type SyncWorld, settle } from './sync_devices.ts';
import { assertSameFolders } from './sync_equality.ts';

const AS_ROOT = process.getuid?.() === 0 ? {} : { skip: 'SKIPPED: this needs root' };

let world: SyncWorld;

before(async () => {
  world = await openWorld();
});

after(async () => {
  await processes.disposeAsync();
  await world[Symbol.asyncDispose]();
});

async function devices(t: TestContext, files: number): Promise<[Device, Device]> {
  const [a, b] = await openDevices(world, 2);
  assert.ok(a !== undefined && b !== undefined);
  t.after(() => Promise.all([a.close(), b.close()]));
  for (let i = 0; i < files; i += 1) a.write(`folder-${i % 4}/file-${i}`);
  await settle(a, b);
  return [a, b];
}

/** Files of those that were made at first. */
const countIn = (device: Device): number =>
  readdirSync(device.local, { recursive: true }).filter((name) => /^folder-\d\/file-\d+$/.test(`${name}`)).length;
const removeSome = (device: Device, from: number, to: number): void => {
  for (let i = from; i < to; i += 1) device.remove(`folder-${i % 4}/file-${i}`);
};

test('many deletes are held on the way up and on the way down, each until a person approves; the rest goes on', async (t) => {
  const [a, b] = await devices(t, 200);
  removeSome(a, 0, 150);
  a.write('folder-0/new', 'new');
  await settle(a);
  assert.deepEqual(a.sync.status().held, [{ guard: 'deletes', side: 'remote', files: 150, of: 201 }]);
  assert.equal(a.sync.status().state, 'held');
  assert.equal(a.reason('folder-0/file-0'), 'held_deletes');
  await settle(b);
  assert.equal(b.read('folder-0/new'), 'new');
  assert.equal(countIn(b), 200);
  await a.sync.approve();
  await settle(a);
  assert.deepEqual(a.sync.status().held, []);
  assert.equal((await a.remoteNames()).length, 4);
  await settle(b);
  assert.deepEqual(b.sync.status().held, [{ guard: 'deletes', side: 'local', files: 150, of: 201 }]);
  assert.equal(b.reason('folder-0/file-0'), 'held_deletes');
  assert.equal(countIn(b), 200);
  await b.sync.approve();
  await assertConverged([a, b]);
  assert.equal(countIn(b), 50);
});

test('deletes that come a few at a time are held by the server, and let go by the same approval', async (t) => {
  const [a, b] = await devices(t, 300);
  removeSome(a, 0, 90);
  await settle(a);
  removeSome(a, 90, 170);
  await settle(a);
  assert.equal(a.reason('folder-1/file-169'), 'held_server');
  await a.sync.approve();
  await settle(a);
  await settle(b);
  await b.sync.approve();
  await assertConverged([a, b]);
  assert.equal(countIn(b), 130);
});

/** Whatever happened to the folder: nothing is deleted on the server, and nothing of it is forgotten. */
async function assertHeld(device: Device, other: Device, why: string): Promise<void> {
  await device.sync.once();
  assert.deepEqual(device.sync.status().held, [{ guard: 'root', why }]);
  assert.equal(device.reason('folder-1/file-1'), 'held_root');
  await settle(other);
  assert.equal(countIn(other), 8);
}

test('a folder that is gone is no delete; it is synced again when it is back', async (t) => {
  const [a, b] = await devices(t, 8);
  renameSync(a.local, `${a.local} elsewhere`);
  await assertHeld(a, b, 'missing');
  await a.close();
  await assert.rejects(a.open(), (error) => error instanceof AppError && error.code === 'local_io');
  renameSync(`${a.local} elsewhere`, a.local);
  await a.open();
  await assertConverged([a, b]);
});

test('a folder that was emptied is no delete before a person approves', async (t) => {
  const [a, b] = await devices(t, 8);
  for (const name of readdirSync(a.local)) if (name !== '.driftless') a.remove(name);
  await assertHeld(a, b, 'emptied');
  await a.sync.approve();
  await assertConverged([a, b]);
  assert.equal(countIn(b), 0);
});

test('an empty folder in its place is no delete, and approved it is filled again', async (t) => {
  const [a, b] = await devices(t, 8);
  await a.close();
  rmSync(a.local, { recursive: true });
  mkdirSync(a.local);
  await a.open();
  await assertHeld(a, b, 'marker_missing');
});

test('without its mark, or with another one, a folder is not the one that was synced before a person approves', async (t) => {
  const [a, b] = await devices(t, 8);
  rmSync(a.path('.driftless/root.json'));
  a.remove('folder-0');
  await assertHeld(a, b, 'marker_missing');
  writeFileSync(a.path('.driftless/root.json'), '{"root":"another"}');
  await assertHeld(a, b, 'marker_foreign');
  await a.sync.approve();
  await assertConverged([a, b]);
  assert.equal(countIn(b), 6);
});

/** Where the profile keeps what it knows of the only folder that is synced. */
const indexOf = (device: Device): string => {
  const sync = join(device.home, 'sync');
  const [id] = readdirSync(sync).filter((name) => /^[0-9a-f]{16}$/.test(name));
  return join(sync, id ?? '');
};

test('an index that is lost is made anew: both sides are united, nothing is deleted, and nothing is sent', async (t) => {
  const [a, b] = await devices(t, 8);
  await a.close();
  for (const name of readdirSync(indexOf(a))) if (name.startsWith('index.db')) rmSync(join(indexOf(a), name));
  a.remove('folder-1/file-1');
  a.write('folder-1/new', 'new');
  b.write('folder-2/file-2', 'edited meanwhile');
  b.remove('folder-3/file-3');
  await settle(b);
  a.takeDone();
  await a.open();
  await settle(a);
  const sent = a
    .takeDone()
    .filter(({ direction }) => direction === 'up')
    .reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(sent <= 'new'.length + 'folder-3/file-3'.length + 'folder-2/file-2'.length, `${sent} bytes`);
  await assertConverged([a, b]);
  assert.equal(a.read('folder-1/file-1'), 'folder-1/file-1');
  assert.equal(a.read('folder-3/file-3'), 'folder-3/file-3');
  assert.equal(a.read('folder-2/file-2'), 'edited meanwhile');
});

test('an index that was restored from an older copy deletes nothing that came since', async (t) => {
  const [a, b] = await devices(t, 8);
  await a.close();
  const place = indexOf(a);
  const older = join(a.home, 'older copy');
  cpSync(place, older, { recursive: true });
  await a.open();
  b.write('folder-0/since', 'since');
  a.write('folder-1/file-1', 'edited since');
  a.remove('folder-2/file-2');
  await settle(a, b);
  await settle(a);
  await a.close();
  rmSync(place, { recursive: true });
  renameSync(older, place);
  const seen: string[] = [];
  await a.open({ onEvent: ({ type }) => seen.push(type) });
  await settle(a);
  assert.ok(seen.includes('healed'));
  await assertConverged([a, b]);
  assert.equal(b.read('folder-0/since'), 'since');
  assert.equal(b.read('folder-1/file-1'), 'edited since');
});

test('a machine that was copied whole takes no absence for a delete', async (t) => {
  const user = await world.user();
  const [a, copy] = [new Device(world, user), new Device(world, user)];
  t.after(() => Promise.all([a.close(), copy.close()]));
  for (let i = 0; i < 8; i += 1) a.write(`folder-${i % 4}/file-${i}`);
  await a.open();
  await settle(a);
  await a.close();
  for (const [from, to] of [
    [a.home, copy.home],
    [a.local, copy.local],
  ] as const) {
    rmSync(to, { recursive: true });
    cpSync(from, to, { recursive: true, preserveTimestamps: true });
  }
  const settings = join(indexOf(copy), 'settings.json');
  writeFileSync(settings, readFileSync(settings, 'utf8').replace(a.local, copy.local));
  await a.open();
  a.write('folder-0/from a', 'from a');
  a.remove('folder-1/file-1');
  await settle(a);
  copy.write('folder-0/from the copy', 'from the copy');
  copy.remove('folder-2/file-2');
  await copy.open();
  await settle(copy);
  await assertConverged([a, copy]);
  assert.equal(countIn(a), 8, 'whoever of them deleted something: it is not known which of the two is right');
  for (const name of ['from a', 'from the copy']) assert.equal(copy.read(`folder-0/${name}`), name);
});

type Place = { readonly sync: Sync; readonly local: string };

type Processes = {
  readonly system: System;
  readonly folder: string;
  readonly data: string;
  /** Two devices of one user that sync this remote folder. */
  readonly pair: (t: TestContext, remote: string) => Promise<[Place, Place]>;
};

const processes = new AsyncDisposableStack();
let started: Promise<Processes> | null = null;

/** Both servers as processes, once for the tests that take them apart. */
function openProcesses(): Promise<Processes> {
  started ??= startProcesses(processes);
  return started;
}

async function startProcesses(stack: AsyncDisposableStack): Promise<Processes> {
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-sync-')), (path) => rm(path, { recursive: true, force: true }));
  const system = stack.use(await startSystem({ env: await privateEnvironment(folder, process.env), folder }));
  const account = { username: 'alice', password: 'correct horse battery staple', auth: system.auth };
  const users: Driftless[] = [];
  for (const enter of [register, connect]) users.push(stack.use(await enter({ ...account, home: join(folder, `home-${users.length}`) })));
  return {
    ...{ system, folder, data: join(folder, 'data') },
    async pair(t, remote) {
      const open = async (me: Driftless | undefined, name: string): Promise<Place> => {
        assert.ok(me !== undefined);
        const local = join(folder, `${name} of ${remote.slice(1)}`);
        const sync = await me.sync(local, remote, { watch: false });
        t.after(() => sync.close());
        return { sync, local };
      };
      return [await open(users[0], 'a'), await open(users[1], 'b')];
    },
  };
}

async function passes(...places: readonly Place[]): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    let achieved = 0;
    for (const { sync } of places) achieved += (await sync.once()).achieved;
    if (achieved === 0) return;
  }
  throw new Error('there is still something to do');
}

/** The server's data as they are now, to go back to. */
async function backUp({ system, folder, data }: Processes): Promise<void> {
  await system.running.server.stop();
  cpSync(data, join(folder, 'older'), { recursive: true });
  await system.restart('server');
}

async function goBack({ system, folder, data }: Processes): Promise<void> {
  await system.running.server.stop();
  renameSync(data, mkdtempSync(join(folder, 'gone-'))); // not removed: the daemon goes on writing into it
  renameSync(join(folder, 'older'), data);
  await system.restart('server');
}

test('a server that was restored from an older copy gets back what came since, and nothing is deleted anywhere', async (t) => {
  const both = await openProcesses();
  const [a, b] = await both.pair(t, '/restored');
  for (let i = 0; i < 8; i += 1) writeFileSync(join(a.local, `file-${i}`), `${i}`);
  await passes(a, b);
  await backUp(both);
  writeFileSync(join(a.local, 'since'), 'since');
  writeFileSync(join(b.local, 'file-1'), 'edited since');
  rmSync(join(a.local, 'file-2'));
  await passes(a, b);
  await goBack(both);
  writeFileSync(join(b.local, 'after'), 'after');
  await passes(a, b);
  await assertSameFolders(a.local, b.local);
  const names = readdirSync(a.local);
  for (const name of ['since', 'after', 'file-1', 'file-7']) assert.ok(names.includes(name), `${name} of ${names.join(', ')}`);
  const texts = names.filter((name) => name.startsWith('file-1')).map((name) => readFileSync(join(a.local, name), 'utf8'));
  assert.deepEqual([...new Set(texts)].sort(), ['1', 'edited since'], names.join(', '));
});

test('a device that comes back to a restored server after others wrote to it gives back what came since', async (t) => {
  const both = await openProcesses();
  const [a, b] = await both.pair(t, '/overtaken');
  writeFileSync(join(a.local, 'file'), 'file');
  await passes(a, b);
  await backUp(both);
  writeFileSync(join(a.local, 'since'), 'since');
  await passes(a);
  await goBack(both);
  for (let i = 0; i < 5; i += 1) writeFileSync(join(b.local, `after-${i}`), `${i}`);
  await passes(b);
  const seen: string[] = [];
  a.sync.on(({ type }) => seen.push(type));
  await passes(a, b);
  assert.ok(seen.includes('healed'));
  await assertSameFolders(a.local, b.local);
  assert.equal(readFileSync(join(b.local, 'since'), 'utf8'), 'since');
  assert.equal(readFileSync(join(a.local, 'after-4'), 'utf8'), '4');
});

test('what was pushed just before the server went back is pushed again, though nothing was asked for in between', async (t) => {
  const both = await openProcesses();
  const [a, b] = await both.pair(t, '/pushed');
  writeFileSync(join(a.local, 'file'), 'file');
  await passes(a, b);
  await backUp(both);
  writeFileSync(join(a.local, 'since'), 'since');
  await a.sync.once();
  await goBack(both);
  writeFileSync(join(b.local, 'after'), 'after'); // takes the number that the push had
  await passes(b);
  await passes(a, b);
  await assertSameFolders(a.local, b.local);
  assert.equal(readFileSync(join(b.local, 'since'), 'utf8'), 'since');
});

test('a server of another epoch: both sides are united', async (t) => {
  const { system, data, pair } = await openProcesses();
  const [a, b] = await pair(t, '/epoch');
  for (let i = 0; i < 8; i += 1) writeFileSync(join(a.local, `file-${i}`), `${i}`);
  await passes(a, b);
  await system.running.server.stop();
  const database = new DatabaseSync(join(data, 'driftless.db'));
  const changed = database.prepare("UPDATE settings SET value = ? WHERE name = 'epoch'").run(randomBytes(16).toString('hex'));
  database.close();
  assert.equal(changed.changes, 1);
  await system.restart('server');
  rmSync(join(a.local, 'file-1'));
  writeFileSync(join(a.local, 'file-2'), 'edited on a');
  const seen: string[] = [];
  a.sync.on(({ type }) => seen.push(type));
  await passes(a, b);
  assert.ok(seen.includes('healed'));
  await assertSameFolders(a.local, b.local);
  assert.equal(readFileSync(join(a.local, 'file-1'), 'utf8'), '1');
  const texts = readdirSync(a.local)
    .filter((name) => name.startsWith('file-2'))
    .map((name) => readFileSync(join(a.local, name), 'utf8'));
  assert.ok(texts.includes('edited on a'), texts.join(', '));
});

test('another disk mounted in its place is not the folder, though it has the mark', AS_ROOT, async (t) => {
  const [a, b] = await devices(t, 8);
  await a.close();
  const mark = readFileSync(a.path('.driftless/root.json'));
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', a.local]);
  t.after(() => execFileSync('umount', ['-l', a.local]));
  mkdirSync(a.path('.driftless'));
  writeFileSync(a.path('.driftless/root.json'), mark);
  a.write('folder-0/file-0');
  await a.open();
  await assertHeld(a, b, 'other_device');
});
