import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { Device, openWorld, settle } from './sync_devices.ts';
import { type Sharer, sharer } from './sync_shares.ts';

const world = await openWorld();
after(() => world[Symbol.asyncDispose]());

type Pair = { owner: Sharer; guest: Sharer; a: Device; b: Device };

/** Two users who each sync `/work`; the first one's `/work/shared` is what the second one has as `/work/team`. */
async function sharing(t: TestContext, role: 'viewer' | 'editor', files: Readonly<Record<string, string>>): Promise<Pair> {
  const [owner, guest] = [sharer(world, await world.user()), sharer(world, await world.user())];
  const [a, b] = [new Device(world, owner.user), new Device(world, guest.user)];
  for (const [path, text] of Object.entries(files)) a.write(`shared/${path}`, text);
  b.write('mine/own', 'my own');
  for (const device of [a, b]) await device.open();
  t.after(() => Promise.all([a.close(), b.close()]));
  await settle(a, b);
  await owner.share('/work/shared', guest, role, '/work/team');
  await settle(a, b);
  for (const device of [a, b]) device.takeDone();
  return { owner, guest, a, b };
}

/** Every file below the folder with what is in it. */
function filesOf(device: Device, folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  const names = readdirSync(device.path(folder), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const { parentPath, name } of names) {
    const path = join(parentPath, name);
    found[path.slice(device.path(folder).length + 1)] = readFileSync(path, 'utf8');
  }
  return Object.fromEntries(Object.entries(found).sort());
}

const withoutDigits = (files: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [path.replace(/ \(conflict from .*? [0-9a-f]{6}\)/, ' (COPY)'), text]));

const FILES = { doc: '1', 'deep/a': '2', 'deep/b': '3', mode: '4', 'old name': '5' };

test('sharing a folder that is synced sends, fetches and renames nothing', async (t) => {
  const { a, b } = await sharing(t, 'viewer', FILES);
  await settle(a, b);
  assert.deepEqual([a.takeDone(), b.takeDone()], [[], []]);
  assert.deepEqual(filesOf(b, 'team'), FILES);
});

test('whatever a viewer does to what is there is undone, an edit is set aside, and the owner notices nothing', async (t) => {
  const { owner, guest, a, b } = await sharing(t, 'viewer', FILES);
  b.write('team/doc', 'an edit');
  b.remove('team/deep');
  b.move('team/old name', 'team/new name');
  chmodSync(b.path('team/mode'), 0o600);
  b.write('team/new', 'new');
  b.write('team/folder/new', 'new in new');
  await settle(b);
  const kept = { 'doc (COPY)': 'an edit', new: 'new', 'folder/new': 'new in new' };
  assert.deepEqual(withoutDigits(filesOf(b, 'team')), { ...FILES, ...kept });
  assert.equal(statSync(b.path('team/mode')).mode & 0o777, statSync(a.path('shared/mode')).mode & 0o777);
  const [conflict] = b.sync.conflicts();
  assert.deepEqual([conflict?.path, conflict?.kind], ['team/doc', 'not_allowed']);
  for (const path of [conflict?.copyPath ?? '', 'team/new', 'team/folder/new']) assert.equal(b.reason(path), 'no_permission_remote', path);
  assert.equal(b.reason('team/deep/a'), 'in_sync');
  await settle(a);
  assert.deepEqual([filesOf(a, 'shared'), a.takeDone()], [FILES, []]);

  a.write('shared/doc', 'by the owner');
  a.write('shared/new', 'another one');
  await settle(a, b);
  assert.deepEqual(withoutDigits(filesOf(b, 'team')), { ...FILES, doc: 'by the owner', ...kept, new: 'another one', 'new (COPY)': 'new' });

  await owner.role('/work/shared', guest, 'editor');
  await settle(b, a);
  assert.deepEqual(filesOf(a, 'shared'), filesOf(b, 'team'));
  assert.equal(withoutDigits(filesOf(a, 'shared'))['doc (COPY)'], 'an edit');
});

test('what a viewer moves into a shared folder, or out of it, is where it was again', async (t) => {
  const { a, b } = await sharing(t, 'viewer', FILES);
  b.move('mine/own', 'team/own');
  b.move('team/deep', 'mine/deep');
  await settle(b, a);
  assert.deepEqual([filesOf(b, 'team'), filesOf(b, 'mine')], [FILES, { own: 'my own' }]);
  assert.deepEqual(filesOf(a, 'shared'), FILES);
});

test('a folder that is no longer shared with a guest leaves the disk, but for what was changed there and not sent', async (t) => {
  const { owner, guest, a, b } = await sharing(t, 'editor', FILES);
  b.write('team/doc', 'not sent yet');
  b.write('team/new', 'new');
  await owner.uninvite('/work/shared', guest);
  a.write('shared/later', 'not for the guest');
  await settle(a);
  await settle(b);
  assert.deepEqual(filesOf(b, 'team'), { doc: 'not sent yet', new: 'new' });
  assert.deepEqual([b.reason('team/doc'), b.reason('team/new')], ['in_sync', 'in_sync']);
  await settle(a, b);
  assert.deepEqual(filesOf(a, 'shared'), { ...FILES, later: 'not for the guest' });
});

test('what a viewer could not send is kept when they leave', async (t) => {
  const { guest, a, b } = await sharing(t, 'viewer', FILES);
  b.write('team/doc', 'an edit');
  await settle(b);
  await guest.leave('/work/team');
  await settle(b, a);
  assert.deepEqual(withoutDigits(filesOf(b, 'team')), { 'doc (COPY)': 'an edit' });
  assert.deepEqual(filesOf(a, 'shared'), FILES);
});

test('who left, and has the folder again before their device looked, has what is in it now, and keeps what was changed here', async (t) => {
  const { owner, guest, a, b } = await sharing(t, 'editor', FILES);
  await guest.leave('/work/team');
  a.remove('shared/deep');
  a.remove('shared/doc');
  a.move('shared/mode', 'not shared');
  a.write('shared/new', 'new');
  await settle(a);
  b.write('team/doc', 'an edit');
  await owner.share('/work/shared', guest, 'editor', '/work/team');
  await settle(b, a);
  assert.deepEqual(filesOf(b, 'team'), { doc: 'an edit', new: 'new', 'old name': '5' });
  assert.deepEqual(filesOf(a, 'shared'), filesOf(b, 'team'));
});

test('what is moved out of a shared folder, or into it, is not fetched again by who moved it', async (t) => {
  const { a, b } = await sharing(t, 'editor', FILES);
  a.write('mine/new', 'new');
  await settle(a, b);
  for (const device of [a, b]) device.takeDone();
  a.move('shared/deep', 'mine/deep');
  a.move('mine/new', 'shared/new');
  await settle(a, b);
  const done = a.takeDone();
  assert.deepEqual(
    done.filter(({ direction, kind }) => direction === 'down' || (kind !== 'move' && kind !== 'touch')),
    [],
  );
  assert.equal(done.filter(({ kind }) => kind === 'move').length, 2);
  a.write('mine/deep/a', 'after the move');
  await settle(a, b);
  assert.deepEqual(filesOf(a, 'mine'), { 'deep/a': 'after the move', 'deep/b': '3' });
  const { 'deep/a': _a, 'deep/b': _b, ...rest } = FILES;
  assert.deepEqual(
    [filesOf(a, 'shared'), filesOf(b, 'team')],
    Array.from({ length: 2 }, () => ({ ...rest, new: 'new' })),
  );
});

test('what is moved between spaces is not fetched again by other devices that have it', async (t) => {
  const { owner, a, b } = await sharing(t, 'editor', { ...FILES, 'deep/long': `${'a long line\n'.repeat(400_000)}end` });
  const other = new Device(world, owner.user);
  await other.open();
  t.after(() => other.close());
  await settle(other, a, b);
  other.takeDone();
  const { ino } = statSync(other.path('shared/deep/a'));
  a.move('shared/deep', 'deep');
  a.write('shared/doc', 'other content');
  await settle(a, other, b);
  const fetched = other.takeDone().filter(({ direction, bytes }) => direction === 'down' && bytes > 0);
  assert.deepEqual(fetched, [{ direction: 'down', kind: 'replace', path: 'shared/doc', bytes: 13 }]);
  assert.deepEqual(filesOf(other, 'deep'), filesOf(a, 'deep'));
  assert.deepEqual([other.has('shared/deep'), b.has('team/deep')], [false, false]);
  assert.notEqual(statSync(other.path('deep/a')).ino, ino, 'what is in the trash is not what a person goes on writing to');
});

test('a shared folder that its owner deletes and undeletes goes and comes back on both disks', async (t) => {
  const { owner, a, b } = await sharing(t, 'editor', FILES);
  await owner.remove('/work/shared');
  await settle(a, b);
  assert.deepEqual([a.has('shared'), b.has('team')], [false, false]);
  await owner.undelete('/work/shared');
  await settle(a, b);
  assert.deepEqual(filesOf(a, 'shared'), FILES);
});
