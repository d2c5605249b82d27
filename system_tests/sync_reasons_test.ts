import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { probeDisk } from '../Client/sync/disk/probe.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { openProxy } from './cutting_proxy.ts';
import { runClient } from './sync_client_process.ts';
import { assertConverged, Device, openDevices, openWorld, type SyncWorld, settle } from './sync_devices.ts';
import { assertSameFolders } from './sync_equality.ts';

let world: SyncWorld;
/** What becomes of the content that the server stores and reads. */
const disk: {
  full: boolean;
  damaged: boolean;
  stall: { readonly call: string; readonly reached: () => void; readonly until: Promise<void> } | null;
} = {
  ...{ full: false, damaged: false, stall: null },
};

before(async () => {
  const stalled = async (call: string): Promise<void> => {
    if (disk.stall?.call !== call) return;
    disk.stall.reached();
    await disk.stall.until;
  };
  world = await openWorld({
    wrapChunks: (chunks) => ({
      copies: chunks.copies,
      sync: () => chunks.sync(),
      close: () => chunks.close(),
      async append(...given) {
        if (disk.full) throw new AppError('storage_full', 'the disk of the server is full');
        await stalled('append');
        return chunks.append(...given);
      },
      async read(...given) {
        await stalled('read');
        const bytes = await chunks.read(...given);
        return disk.damaged ? Buffer.from(bytes).fill(0, bytes.length - 1) : bytes;
      },
    }),
  });
});

/** Until `resume`, this call of the server's disk takes for ever. @returns resolves when it is made */
function stall(t: TestContext, call: 'append' | 'read'): { readonly reached: Promise<void>; readonly resume: () => void } {
  const reached = Promise.withResolvers<void>();
  const until = Promise.withResolvers<void>();
  const resume = (): void => {
    disk.stall = null;
    until.resolve();
  };
  disk.stall = { call, reached: reached.resolve, until: until.promise };
  t.after(resume);
  return { reached: reached.promise, resume };
}

after(() => world[Symbol.asyncDispose]());

const isRoot = process.getuid?.() === 0;
const AS_ROOT = isRoot ? {} : { skip: 'SKIPPED: this needs root' };

async function pair(t: TestContext, files: Readonly<Record<string, string>> = {}): Promise<[Device, Device]> {
  const [a, b] = await openDevices(world, 2);
  assert.ok(a !== undefined && b !== undefined);
  t.after(() => Promise.all([a.close(), b.close()]));
  for (const [path, content] of Object.entries(files)) a.write(path, content);
  await settle(a, b);
  return [a, b];
}

test('names that fold together: the one that came first is synced, the other stays as it is and is named', async (t) => {
  const [a, b] = await pair(t, { readme: 'first' });
  a.write('README', 'second');
  a.write('Straße/x', '1');
  await settle(a, b);
  a.write('STRASSE/y', '2');
  await assertConverged([a, b], ['README', 'STRASSE', 'Straße']);
  assert.equal(a.reason('README'), 'name_collides');
  assert.equal(a.reason('readme'), 'in_sync');
  assert.equal(a.read('README'), 'second');
  assert.ok(!b.has('README'));
  a.move('README', 'readme too');
  a.move('STRASSE', 'street');
  await assertConverged([a, b]);
  assert.equal(b.read('readme too'), 'second');
  assert.equal(a.reason('readme too'), 'in_sync');
});

test('names that the server cannot hold are left as they are, and named', async (t) => {
  const [a, b] = await pair(t, { fine: 'fine' });
  const raw = Buffer.concat([Buffer.from(`${a.local}/latin-`), Buffer.from([0xe9])]);
  writeFileSync(raw, 'not UTF-8');
  a.write('line\nbreak', 'control character');
  a.write(`${'d/'.repeat(LIMITS.pathDepthMax)}deep`, 'too deep');
  await settle(a, b);
  await settle(a, b);
  assert.equal(a.reason('latin-\ufffd'), 'name_not_utf8');
  assert.equal(a.reason('line\nbreak'), 'name_not_there');
  assert.equal(a.reason(`${'d/'.repeat(LIMITS.pathDepthMax)}deep`), 'name_not_there');
  assert.equal(a.reason('fine'), 'in_sync');
  assert.ok(existsSync(raw));
  await assertSameFolders(a.local, b.local, ['bytes:latin-\xe9', 'line\nbreak', 'd']);
});

test('sockets and pipes are not synced, and named', async (t) => {
  const [a, b] = await pair(t);
  execFileSync('mkfifo', [a.path('pipe')]);
  const listening = createServer().listen(a.path('socket'));
  t.after(() => listening.close());
  a.write('file');
  await assertConverged([a, b], ['pipe', 'socket']);
  assert.equal(a.reason('pipe'), 'special_file');
  assert.equal(a.reason('socket'), 'special_file');
  assert.deepEqual(await a.remoteNames(), ['file']);
});

test('what may not be read or written is named, nothing is concluded from it, and it goes on when it may', AS_ROOT, async (t) => {
  const [a, b] = await pair(t, { 'closed/in it': '1', unreadable: '2', 'fixed/replaced': '3', open: '4' });
  await a.close();
  chmodSync(world.folder, 0o755);
  execFileSync('chown', ['-R', '65534:65534', join(a.local, '..')]);
  chmodSync(a.path('closed'), 0o000);
  chmodSync(a.path('unreadable'), 0o000);
  chmodSync(a.path('fixed'), 0o555);
  a.write('new', 'new');
  execFileSync('chown', ['65534:65534', a.path('new')]);
  execFileSync('chown', ['-R', '0:0', a.path('fixed')]);
  b.write('fixed/replaced', 'from b');
  b.write('fixed/another', 'from b');
  await settle(b);
  await using client = await runClient({ ...(await a.login()), uid: 65534 });
  await client.once();
  await client.once();
  assert.equal(await client.reason('closed'), 'no_permission_local');
  assert.equal(await client.reason('closed/in it'), 'no_permission_local');
  assert.equal(await client.reason('fixed/another'), 'no_permission_local');
  assert.equal(await client.reason('fixed/replaced'), 'no_permission_local');
  assert.equal(await client.reason('unreadable'), 'no_permission_local');
  assert.equal(await client.reason('new'), 'in_sync');
  assert.deepEqual(await b.remoteNames(), ['closed', 'fixed', 'new', 'open', 'unreadable']);
  assert.equal(a.read('fixed/replaced'), '3');
  await settle(b);
  assert.equal(b.read('closed/in it'), '1');
  chmodSync(a.path('closed'), 0o755);
  chmodSync(a.path('unreadable'), 0o644);
  chmodSync(a.path('fixed'), 0o755);
  execFileSync('chown', ['-R', '65534:65534', a.path('fixed')]);
  await client.settle();
  await client.close();
  await a.open();
  await assertConverged([a, b]);
  assert.equal(a.read('fixed/another'), 'from b');
});

test('rules that are switched on and off delete nothing anywhere', async (t) => {
  const [a, b] = await pair(t, { 'a.log': 'log', 'build/out.o': 'o', 'src/main.c': 'c' });
  a.write('.driftlessignore', '*.log\n/build/\n');
  await settle(a, b);
  await settle(a, b);
  a.write('a.log', 'changed on a');
  b.write('a.log', 'changed on b');
  a.write('b.log', 'new on a');
  await assertConverged([a, b], ['a.log', 'b.log', 'build']);
  assert.equal(a.reason('b.log'), 'ignored');
  assert.equal(b.reason('a.log'), 'ignored');
  assert.deepEqual(b.sync.explain('build/out.o')?.details.rule, { source: 'ignored', line: 2, pattern: '/build/' });
  assert.deepEqual([a.read('a.log'), b.read('a.log'), b.has('b.log'), b.read('build/out.o')], ['changed on a', 'changed on b', false, 'o']);
  b.remove('.driftlessignore');
  await settle(b, a);
  await assertConverged([a, b]);
  assert.equal(b.read('b.log'), 'new on a');
  const contents = readdirSync(a.local)
    .filter((name) => name.startsWith('a') && name.endsWith('.log'))
    .map((name) => a.read(name));
  for (const content of ['changed on a', 'changed on b']) assert.ok(contents.includes(content), contents.join(', '));
});

test('an ignore file that comes from another device is obeyed from the same pass on', async (t) => {
  const [a, b] = await pair(t, { one: '1' });
  a.write('.driftlessignore', '*.tmp\n');
  await settle(a);
  b.write('x.tmp', 'only here');
  await b.sync.once();
  await b.sync.once();
  assert.equal(b.reason('x.tmp'), 'ignored');
  assert.deepEqual(await b.remoteNames(), ['.driftlessignore', 'one'], 'it was sent before the rule was known');
  await assertConverged([a, b], ['x.tmp']);
  assert.ok(!a.has('x.tmp'));
});

test('what is excluded on one device is neither there nor deleted; taken back, it comes', async (t) => {
  const [a, b] = await pair(t, { 'photos/1.jpg': '1', 'docs/1.txt': '1' });
  await b.reopen({ exclude: ['/photos'] });
  await settle(b);
  b.remove('photos');
  a.write('photos/2.jpg', '2');
  await assertConverged([a, b], ['photos']);
  assert.equal(b.reason('photos/1.jpg'), 'excluded');
  assert.equal(a.reason('photos/2.jpg'), 'in_sync');
  await b.sync.root.update((settings) => settings.excludes.splice(0));
  await b.reopen();
  await assertConverged([a, b]);
  assert.equal(b.read('photos/2.jpg'), '2');
});

test('a folder that was deleted there stays here for what is in it and is not synced', async (t) => {
  const [a, b] = await pair(t, { 'folder/one': '1', other: '2' });
  await b.reopen({ exclude: ['*.keep'] });
  b.write('folder/mine.keep', 'only here');
  await settle(b);
  a.remove('folder');
  await settle(a, b);
  assert.deepEqual(readdirSync(b.path('folder')), ['mine.keep']);
  assert.equal(b.reason('folder'), 'folder_not_empty');
  assert.ok(!a.has('folder'));
  a.write('folder/new', 'made anew');
  await settle(a, b);
  assert.deepEqual(readdirSync(b.path('folder')).sort(), ['mine.keep', 'new'], 'what is there now is not kept out by what was left');
  assert.deepEqual([b.reason('folder'), b.reason('folder/new')], ['in_sync', 'in_sync']);
  a.remove('folder');
  await settle(a, b);
  b.remove('folder/mine.keep');
  b.remove('folder');
  await assertConverged([a, b]);
  assert.ok(!b.has('folder'));
});

test('a folder that was deleted here stays there for what is in it and is left out here', async (t) => {
  const [a, b] = await pair(t, { 'folder/one': '1', 'folder/theirs.keep': '2' });
  await b.reopen({ exclude: ['*.keep'] });
  await settle(b);
  b.remove('folder');
  await settle(b, a);
  assert.deepEqual(readdirSync(a.path('folder')), ['theirs.keep']);
  assert.equal(b.reason('folder'), 'folder_not_empty');
  a.remove('folder');
  await assertConverged([a, b]);
  assert.equal(b.reason('folder'), undefined);
});

test('a change in a share that may only be read stays here, and is named', async (t) => {
  const [owner, reader] = [await world.user(), await world.user()];
  const a = new Device(world, owner, { remote: '/work' });
  a.write('shared/doc', 'original');
  await a.open();
  t.after(() => a.close());
  await settle(a);
  const invited = await world.server.ask(owner, {
    method: 'POST',
    url: '/v1/invitations',
    payload: { path: '/work/shared', user: reader.name, role: 'viewer' },
  });
  assert.equal(invited.status, 200, invited.bytes.toString());
  const accepted = await world.server.ask(reader, { method: 'POST', url: `/v1/invitations/${invited.json().id}/accept` });
  assert.equal(accepted.status, 200, accepted.bytes.toString());
  const b = new Device(world, reader, { remote: accepted.json().path });
  await b.open();
  t.after(() => b.close());
  await settle(b);
  assert.equal(b.read('doc'), 'original');
  b.write('doc', 'changed by a reader');
  b.write('new', 'new');
  await settle(b);
  const [conflict] = b.sync.conflicts();
  assert.deepEqual([conflict?.path, conflict?.kind, b.reason('doc')], ['doc', 'not_allowed', 'in_conflict']);
  assert.equal(b.reason(conflict?.copyPath ?? ''), 'no_permission_remote');
  assert.equal(b.reason('new'), 'no_permission_remote');
  assert.deepEqual([b.read('doc'), b.read(conflict?.copyPath ?? '')], ['original', 'changed by a reader']);
  await settle(a, b);
  assert.equal(a.read('shared/doc'), 'original');
  a.write('shared/doc', 'changed by the owner');
  a.write('shared/more', 'more');
  await settle(a, b);
  assert.equal(b.read('more'), 'more');
  const texts = readdirSync(b.local)
    .filter((name) => name.startsWith('doc'))
    .map((name) => b.read(name));
  assert.deepEqual(texts.sort(), ['changed by a reader', 'changed by the owner']);
});

test('a full disk here: what fits comes, what does not is named, and comes when there is room', AS_ROOT, async (t) => {
  const user = await world.user();
  const mounted = join(world.folder, 'small');
  mkdirSync(mounted);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mounted]);
  t.after(() => execFileSync('umount', ['-l', mounted]));
  const a = new Device(world, user);
  const b = new Device(world, user, { local: join(mounted, 'local') });
  t.after(() => Promise.all([a.close(), b.close()]));
  a.write('small', 'small');
  a.write('ballast', Buffer.alloc(2_000_000, 'b'));
  await a.open();
  await settle(a);
  await b.open();
  await settle(b);
  a.write('huge', Buffer.alloc(3_000_000, 'h'));
  await settle(a);
  await b.sync.once();
  assert.equal(b.reason('huge'), 'disk_full');
  assert.ok(!b.has('huge'));
  assert.equal(b.read('small'), 'small');
  a.remove('ballast');
  rmSync(b.path('ballast'));
  await settle(a);
  rmSync(b.path('.driftless/trash'), { recursive: true, force: true });
  await b.reopen();
  await assertConverged([a, b]);
});

test('what is on its way is named, up and down', async (t) => {
  const [a, b] = await pair(t, { other: 'other' });
  a.write('long', randomBytes(100_000));
  const up = stall(t, 'append');
  const sent = a.sync.once();
  await up.reached;
  assert.deepEqual([a.sync.explain('long')?.state, a.reason('long'), a.reason('other')], ['working', 'sending', 'in_sync']);
  up.resume();
  await sent;
  assert.equal(a.reason('long'), 'in_sync');
  const down = stall(t, 'read');
  const fetched = b.sync.once();
  await down.reached;
  assert.deepEqual([b.sync.explain('long')?.state, b.reason('long'), b.reason('other')], ['working', 'fetching', 'in_sync']);
  down.resume();
  await fetched;
  assert.equal(b.reason('long'), 'in_sync');
});

test('what cannot be fetched whole is named, is never placed, and comes once it can', async (t) => {
  const [a, b] = await pair(t, { fine: 'fine' });
  a.write('damaged', randomBytes(50_000));
  await settle(a);
  disk.damaged = true;
  t.after(() => {
    disk.damaged = false;
  });
  await b.sync.once();
  assert.deepEqual([b.sync.explain('damaged')?.state, b.reason('damaged')], ['failed', 'remote_error']);
  assert.ok(!b.has('damaged'));
  disk.damaged = false;
  await assertConverged([a, b]);
});

test('a name that this disk cannot hold, not even by an alias, stays on the server, and is named', async (t) => {
  const user = await world.user();
  const a = new Device(world, user);
  const b = new Device(world, user, { probe: (disk) => ({ ...probeDisk(disk), anyName: false }) });
  t.after(() => Promise.all([a.close(), b.close()]));
  const name = ':'.repeat(200);
  a.write(name, 'long');
  a.write('a:b', 'short');
  await a.open();
  await b.open();
  await settle(a, b);
  assert.deepEqual([b.sync.explain(name)?.state, b.reason(name), a.reason(name)], ['failed', 'name_not_here', 'in_sync']);
  assert.deepEqual(readdirSync(b.local).sort(), ['.driftless', 'a%58b']);
  a.move(name, 'plain');
  await assertConverged([a, b], ['a:b', 'a%58b']);
  assert.equal(b.read('plain'), 'long');
});

test('a full disk of the server, and a file that is too large, are named', async (t) => {
  const [a, b] = await pair(t, { small: 'small' });
  disk.full = true;
  t.after(() => {
    disk.full = false;
  });
  a.write('does not fit', 'content of its own');
  a.remove('small');
  await a.sync.once();
  await a.sync.once();
  assert.equal(a.reason('does not fit'), 'over_quota');
  assert.deepEqual(await a.remoteNames(), [], 'a delete needs no room');
  disk.full = false;
  await a.reopen();
  await assertConverged([a, b]);
  a.write('sparse');
  truncateSync(a.path('sparse'), LIMITS.fileBytesMax + 1);
  await a.sync.once();
  assert.equal(a.reason('sparse'), 'too_large');
});

test('what is over a quota, and what an administrator does not allow, is named; the rest goes on, and so do they once they may', async (t) => {
  const { quotas } = world.server;
  t.after(() => quotas.setLimits(null, { quotaBytes: null, refused: null }));
  const [a, b] = await pair(t, { small: 'small' });
  await quotas.setLimits(null, { quotaBytes: 20, refused: ['exe'] });
  a.write('too much', 'more than twenty bytes of content');
  a.write('tool.exe', 'tool');
  a.write('fits', 'fits');
  await settle(a, b);
  assert.deepEqual([a.reason('too much'), a.reason('tool.exe'), a.reason('fits')], ['over_quota', 'type_refused', 'in_sync']);
  assert.deepEqual([b.read('fits'), await a.remoteNames()], ['fits', ['fits', 'small']]);
  assert.match(a.sync.explain('too much')?.details.error ?? '', /needs 33 B, 11 B left of the 20 B/);
  await quotas.setLimits(null, { quotaBytes: 100, refused: null });
  await a.reopen();
  await assertConverged([a, b]);
  assert.equal(b.read('too much'), 'more than twenty bytes of content');
});

test('what the system refuses for another reason is named', AS_ROOT, async (t) => {
  const [a, b] = await pair(t, { pinned: 'here' });
  execFileSync('mount', ['--bind', b.path('pinned'), b.path('pinned')]);
  t.after(() => execFileSync('umount', [b.path('pinned')]));
  a.write('pinned', 'from a');
  await settle(a);
  await b.sync.once();
  assert.equal(b.reason('pinned'), 'local_error');
  assert.equal(b.read('pinned'), 'here');
});

test('what is mounted below the folder is not synced, and what was synced there is neither deleted nor changed', AS_ROOT, async (t) => {
  const [a, b] = await pair(t, { 'photos/1.jpg': '1', 'photos/2/2.jpg': '2', other: 'other' });
  const mount = (path: string): void => {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', a.path(path)]);
    t.after(() => spawnSync('umount', ['-l', a.path(path)]));
  };
  mount('photos');
  b.write('photos/3.jpg', '3');
  b.write('photos/1.jpg', 'changed on b');
  b.remove('photos/2');
  await settle(a, b);
  for (const path of ['photos', 'photos/1.jpg', 'photos/3.jpg']) assert.equal(a.reason(path), 'other_file_system', path);
  assert.equal(a.reason('other'), 'in_sync');
  assert.deepEqual(readdirSync(a.path('photos')), [], 'nothing is written to what is mounted');
  a.write('photos/of another disk', 'x');
  a.write('other', 'changed on a');
  await settle(a, b);
  assert.deepEqual(readdirSync(b.path('photos')).sort(), ['1.jpg', '3.jpg']);
  assert.equal(b.read('other'), 'changed on a');
  await a.reopen();
  await settle(a, b);
  assert.deepEqual(readdirSync(b.path('photos')).sort(), ['1.jpg', '3.jpg']);
  execFileSync('umount', [a.path('photos')]);
  await assertConverged([a, b]);
  assert.deepEqual(readdirSync(a.path('photos')).sort(), ['1.jpg', '3.jpg']);
  assert.equal(a.read('photos/1.jpg'), 'changed on b');
  a.write('stick/here/x', 'below what is mounted');
  mount('stick/here');
  a.write('stick/here/y', 'mounted');
  await settle(a, b);
  assert.equal(a.reason('stick/here/y'), 'other_file_system');
  assert.ok(!b.has('stick/here'));
  execFileSync('umount', [a.path('stick/here')]);
  await assertConverged([a, b]);
  assert.equal(b.read('stick/here/x'), 'below what is mounted');
});

test('without an answer of the server the local changes wait, and are named', async (t) => {
  const user = await world.user();
  let cut = Number.POSITIVE_INFINITY;
  const proxy = await openProxy(Number(new URL(world.url).port), () => cut);
  const a = new Device(world, user, { url: proxy.url });
  t.after(() => a.close());
  a.write('one');
  await a.open();
  await settle(a);
  cut = 0;
  await proxy[Symbol.asyncDispose]();
  a.sync.start();
  await a.until('offline');
  a.write('two');
  assert.equal(a.reason('two'), 'offline');
  assert.equal(a.reason('one'), 'in_sync');
});

test('a file that is written to all the time is named, and sent once it is left alone', async (t) => {
  const [a, b] = await pair(t);
  a.write('other');
  a.write('log', randomBytes(4_000_000));
  const file = openSync(a.path('log'), 'r+');
  t.after(() => closeSync(file));
  let at = 0;
  const writing = setInterval(() => {
    at = (at + 1_234_567) % 4_000_000; // its length stays the same
    writeSync(file, 'x', at);
  }, 0).unref();
  t.after(() => clearInterval(writing));
  await a.sync.once();
  assert.equal(a.reason('log'), 'still_changing');
  assert.equal(a.reason('other'), 'in_sync');
  clearInterval(writing);
  await assertConverged([a, b]);
  assert.equal(a.reason('log'), 'in_sync');
});
