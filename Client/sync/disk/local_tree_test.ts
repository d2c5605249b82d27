import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../../Models/errors.ts';
import { type BeforeDiskCall, openMemoryDisk } from '../testing/memory_disk.ts';
import { otherProgram } from '../testing/memory_disk_user.ts';
import { MemoryVolume, systemError } from '../testing/memory_disk_volume.ts';
import type { DiskStat } from './disk.ts';
import { type Achieved, asidePath, openLocalTree, type PlaceIntent } from './local_tree.ts';
import type { IsUnchanged } from './local_tree_leaves.ts';

const ATTRIBUTES = { mode: 0o640, mtimeUs: 1_500_000_000_123_456 };

function setUp(options: { foldsCase?: boolean; hardLinks?: boolean; timeStepMs?: number } = {}) {
  let time = 1_700_000_000_000;
  const now = (): number => {
    time += 1;
    return time;
  };
  const volume = new MemoryVolume({ now, foldsCase: options.foldsCase ?? false, hardLinks: options.hardLinks ?? true });
  const hooks: BeforeDiskCall[] = [];
  const disk = openMemoryDisk(volume, (call) => {
    for (const hook of [...hooks]) hook(call);
  });
  const kept: [string, string][] = [];
  const tree = openLocalTree(disk, {
    now,
    timeStepMs: options.timeStepMs ?? 0,
    copyName: (name, digits) => `${name} (conflict ${digits})`,
    onKept: (path, copy) => kept.push([path, copy]),
  });
  const user = otherProgram(volume);
  let id = 0;

  function statOf(path: string): DiskStat {
    const stat = disk.stat(path);
    assert.ok(stat !== null);
    return stat;
  }

  async function stage(path: string, content: string, expected: DiskStat | null): Promise<PlaceIntent> {
    id += 1;
    const file = tree.stage(id);
    file.write(Buffer.from(content), 0);
    tree.finish(id, file, ATTRIBUTES);
    await tree.seal();
    return { kind: 'place', id, path, expected, aside: asidePath(id, path, now()) };
  }

  async function place(path: string, content: string, expected: DiskStat | null, isUnchanged?: IsUnchanged): Promise<Achieved> {
    return tree.place(await stage(path, content, expected), isUnchanged);
  }

  function move(path: string, to: string, expected = statOf(path)): Achieved {
    id += 1;
    return tree.move({ kind: 'move', id, path, to, expected, aside: asidePath(id, path, now()) });
  }

  function remove(path: string, expected = statOf(path), isUnchanged?: IsUnchanged): Achieved {
    id += 1;
    return tree.remove({ kind: 'remove', id, path, expected, aside: asidePath(id, path, now()) }, isUnchanged);
  }

  /** Before the next call of this name, once. */
  function before(name: string, act: () => void): void {
    const hook: BeforeDiskCall = (call) => {
      if (call.name !== name) return;
      hooks.splice(hooks.indexOf(hook), 1);
      act();
    };
    hooks.push(hook);
  }

  function live(): Record<string, string> {
    const files = user.walk(['.driftless']).filter(({ stat }) => stat.kind !== 'folder');
    return Object.fromEntries(files.map(({ path, bytes, target }) => [path, bytes.toString() + target]));
  }

  function trash(): string[] {
    return user
      .walk()
      .flatMap(({ path, stat, bytes }) => (path.startsWith('.driftless/trash/') && stat.kind === 'file' ? [`${bytes}`] : []));
  }

  /** The private folders are made by the first change that needs them. */
  async function withTrash(): Promise<void> {
    write(user, 'first', '');
    remove('first');
    await tree.settle();
  }

  return { volume, disk, tree, user, kept, statOf, withTrash, place, move, remove, before, live, trash };
}

const write = (user: ReturnType<typeof otherProgram>, path: string, content: string): void => user.write(path, Buffer.from(content));

test('a new file has the content, mode and time it was given, and its own stat is reported', async () => {
  const { place, statOf, live, tree } = setUp();
  const achieved = await place('f', 'new', null);
  await tree.settle();
  assert.deepEqual(live(), { f: 'new' });
  assert.deepEqual(achieved, { status: 'done', stat: statOf('f') });
  assert.equal(statOf('f').mode, ATTRIBUTES.mode);
  assert.equal(Math.round(statOf('f').mtimeMs * 1000), ATTRIBUTES.mtimeUs);
});

test('what is replaced or removed is in the trash, whole, until that is emptied', async () => {
  const { user, place, remove, statOf, live, trash, tree, disk } = setUp();
  write(user, 'f', 'old');
  write(user, 'g', 'gone');
  assert.equal((await place('f', 'new', statOf('f'))).status, 'done');
  assert.deepEqual(remove('g'), { status: 'done', stat: null });
  await tree.settle();
  assert.deepEqual(live(), { f: 'new' });
  assert.deepEqual(trash(), ['old', 'gone']);
  tree.emptyTrash(86_400_000, 1_700_000_000_000 + 86_400_000);
  assert.equal(trash().length, 2);
  tree.emptyTrash(86_400_000, 1_700_000_000_000 + 3 * 86_400_000);
  assert.deepEqual(disk.list('.driftless/trash').names, []);
});

test('a name that is taken by now is left alone', async () => {
  const { user, place, move, live, tree, disk } = setUp();
  write(user, 'f', 'theirs');
  write(user, 'g', 'mine');
  assert.deepEqual(await place('f', 'new', null), { status: 'changed' });
  assert.deepEqual(move('g', 'f'), { status: 'changed' });
  assert.deepEqual(tree.makeFolder('f', 0o755), { status: 'changed' });
  assert.deepEqual(live(), { f: 'theirs', g: 'mine' });
  assert.deepEqual(disk.list('.driftless/tmp').names, []);
});

for (const [what, edit] of [
  ['of the same size and time', (user: ReturnType<typeof otherProgram>) => user.editQuietly('f', Buffer.from('OLD'))],
  ['of the mode alone', (user: ReturnType<typeof otherProgram>) => user.setMode('f', 0o600)],
  ['by a file moved there', (user: ReturnType<typeof otherProgram>) => user.save('f', Buffer.from('OLD'))],
] as const) {
  test(`a change ${what} is one`, async () => {
    const { user, place, move, remove, statOf, live, tree } = setUp();
    write(user, 'f', 'old');
    const expected = statOf('f');
    edit(user);
    const content = live().f;
    assert.equal((await place('f', 'new', expected)).status, 'changed');
    assert.equal(remove('f', expected).status, 'changed');
    assert.equal(move('f', 'g', expected).status, 'changed');
    assert.equal(tree.setAttributes('f', expected, ATTRIBUTES).status, 'changed');
    assert.deepEqual(live(), { f: content });
  });
}

test('a change so late that its time may be that of the one before is told by the content', async () => {
  const { user, place, remove, statOf, live } = setUp({ timeStepMs: 1000 });
  write(user, 'f', 'old');
  let asked = 0;
  const answer = (same: boolean) => () => {
    asked += 1;
    return same;
  };
  assert.equal((await place('f', 'new', statOf('f'), answer(false))).status, 'changed');
  assert.equal(remove('f', statOf('f'), answer(false)).status, 'changed');
  assert.deepEqual(live(), { f: 'old' });
  assert.equal((await place('f', 'new', statOf('f'), answer(true))).status, 'done');
  assert.equal(asked, 3);
  assert.equal((await place('f', 'newer', statOf('f'), answer(false))).status, 'done', 'that one has an old time');
});

test('two saves in a row: the first cannot go back to its place and is kept beside it', async () => {
  const { user, before, place, statOf, live, kept, tree, withTrash } = setUp();
  await withTrash();
  write(user, 'f', 'old');
  before('rename', () => {
    user.save('f', Buffer.from('first save'));
    before('stat', () => user.save('f', Buffer.from('second save')));
  });
  assert.equal((await place('f', 'new', statOf('f'))).status, 'changed');
  await tree.settle();
  const copy = kept[0]?.[1] ?? '';
  assert.match(copy, /^f \(conflict [0-9a-f]{6}\)$/);
  assert.deepEqual(live(), { f: 'second save', [copy]: 'first save' });
});

test('what cannot go back because its folder went is kept above', async () => {
  const { user, before, remove, live, tree, withTrash } = setUp();
  await withTrash();
  user.makeFolder('a');
  user.makeFolder('a/b');
  write(user, 'a/b/f', 'old');
  before('rename', () => {
    user.save('a/b/f', Buffer.from('saved'));
    before('stat', () => user.remove('a'));
  });
  assert.equal(remove('a/b/f').status, 'changed');
  await tree.settle();
  assert.deepEqual(Object.values(live()), ['saved']);
});

test('a file put aside is back at its place when the new one cannot be given its name', async () => {
  const { user, before, place, move, statOf, live } = setUp();
  write(user, 'f', 'old');
  const fail = (): never => {
    throw systemError('ENOSPC', 'link', '');
  };
  before('link', fail);
  await assert.rejects(place('f', 'new', statOf('f')), { code: 'local_io' });
  assert.deepEqual(live(), { f: 'old' });
  before('link', fail);
  assert.throws(
    () => move('f', 'g'),
    (error) => error instanceof AppError && error.cause instanceof Error && error.message.includes('no space left'),
  );
  assert.deepEqual(live(), { f: 'old' });
});

test('a change right after the file was placed does not look like what was placed', async () => {
  const { user, before, place, statOf, tree } = setUp();
  before('link', () => before('stat', () => write(user, 'f', 'edited')));
  const achieved = await place('f', 'placed', null);
  await tree.settle();
  assert.ok(achieved.status === 'done');
  assert.notDeepEqual(achieved.stat, statOf('f'));
  assert.notEqual(achieved.stat?.mtimeMs, statOf('f').mtimeMs);
});

test('what a program writes on into the file that was replaced comes back to be seen', async () => {
  const { user, disk, place, remove, statOf, live, kept, tree } = setUp();
  for (const path of ['f', 'g']) {
    write(user, path, 'old');
    const expected = statOf(path);
    if (path === 'f') await place('f', 'new', expected);
    else remove('g', expected);
  }
  for (const { path } of user.walk())
    if (path.includes('/trash/') && disk.stat(path)?.kind === 'file') user.append(path, Buffer.from(' and more'));
  await tree.settle();
  assert.equal(kept.length, 2);
  assert.deepEqual(Object.values(live()).sort(), ['new', 'old and more', 'old and more']);
});

test('a write while attributes are set is not taken for what was there', async () => {
  const { user, before, statOf, tree } = setUp();
  write(user, 'f', 'old');
  before('setMode', () => write(user, 'f', 'new'));
  assert.equal(tree.setAttributes('f', statOf('f'), ATTRIBUTES).status, 'changed');
  before('setTimes', () => before('stat', () => write(user, 'f', 'xyz')));
  assert.equal(tree.setAttributes('f', statOf('f'), ATTRIBUTES).status, 'changed');
  assert.deepEqual(tree.setAttributes('f', statOf('f'), ATTRIBUTES), { status: 'done', stat: statOf('f') });
  assert.equal(statOf('f').mode, ATTRIBUTES.mode);
});

test('a folder moves whole, is made with its mode, and removed only when it is empty', async () => {
  const { user, move, live, statOf, tree, disk } = setUp();
  for (const folder of ['a', 'b']) user.makeFolder(folder);
  write(user, 'a/f', 'x');
  assert.equal(move('a', 'b').status, 'changed', 'not even over an empty one');
  assert.equal(move('a', 'b/c').status, 'done');
  assert.equal(tree.removeFolder('b').status, 'changed');
  assert.equal(tree.removeFolder('missing').status, 'changed');
  assert.deepEqual(tree.makeFolder('d', 0o2751 & 0o777), { status: 'done', stat: statOf('d') });
  assert.equal(statOf('d').mode, 0o751);
  assert.equal(tree.setAttributes('d', statOf('d'), ATTRIBUTES).status, 'done');
  assert.equal(tree.removeFolder('d').status, 'done');
  assert.equal(tree.makeFolder('missing/d', 0o755).status, 'changed');
  await tree.settle();
  assert.deepEqual(live(), { 'b/c/f': 'x' });
  assert.equal(disk.stat('a'), null);
});

test('a symlink is placed, moved, replaced by a file and removed, and never followed', async () => {
  const { tree, disk, place, move, remove, statOf, live } = setUp();
  tree.stageSymlink(90, '../outside', 1_000_000);
  await tree.seal();
  assert.deepEqual(tree.place({ kind: 'place', id: 90, path: 'l', expected: null, aside: asidePath(90, 'l', 0) }), {
    status: 'done',
    stat: statOf('l'),
  });
  assert.equal(statOf('l').mtimeMs, 1000);
  assert.equal(move('l', 'm').status, 'done');
  assert.equal(disk.readlink('m'), '../outside');
  assert.equal((await place('m', 'file', statOf('m'))).status, 'done');
  assert.equal(remove('m').status, 'done');
  assert.deepEqual(live(), {});
});

test('a change of case alone is a rename where case does not count', async () => {
  for (const hardLinks of [true, false]) {
    const { user, move, live, disk, tree } = setUp({ foldsCase: true, hardLinks });
    user.makeFolder('Folder');
    write(user, 'Folder/name', 'x');
    assert.equal(move('Folder/name', 'Folder/NAME').status, 'done');
    assert.equal(move('Folder', 'FOLDER').status, 'done');
    await tree.settle();
    assert.deepEqual(live(), { 'FOLDER/NAME': 'x' });
    assert.deepEqual(disk.list('FOLDER').names, ['NAME']);
  }
});

test('a folder that nobody may write to is changed all the same, and stays as it is', async () => {
  const { user, disk, place, move, remove, statOf, live, tree } = setUp();
  for (const folder of ['a', 'a/empty', 'a/moves', 'b']) user.makeFolder(folder);
  for (const name of ['f', 'g', 'h', 'moves/i']) write(user, `a/${name}`, name);
  for (const folder of ['a/moves', 'a', 'b']) user.setMode(folder, 0o555);
  assert.equal((await place('a/f', 'new', statOf('a/f'))).status, 'done');
  assert.equal((await place('a/fresh', 'fresh', null)).status, 'done');
  assert.equal(move('a/g', 'b/g').status, 'done');
  assert.equal(remove('a/h').status, 'done');
  assert.equal(move('a/moves', 'b/moves').status, 'done');
  assert.equal(tree.makeFolder('a/made', 0o500).status, 'done');
  assert.equal(tree.removeFolder('a/empty').status, 'done');
  await tree.settle();
  assert.deepEqual(live(), { 'a/f': 'new', 'a/fresh': 'fresh', 'b/g': 'g', 'b/moves/i': 'moves/i' });
  for (const folder of ['a', 'b', 'b/moves']) assert.equal(disk.stat(folder)?.mode, 0o555, folder);
});

test('one change is durable once it is settled, without a sync of everything', async () => {
  const { volume, user, place, move, remove, before, statOf, live, tree, withTrash } = setUp();
  await withTrash();
  user.makeFolder('a');
  for (const name of ['f', 'g', 'h']) write(user, `a/${name}`, name);
  volume.syncAll();
  before('syncAll', () => assert.fail('one sync of a folder is less'));
  await place('a/f', 'new', statOf('a/f'));
  await tree.settle();
  move('a/g', 'G');
  await tree.settle();
  remove('a/h');
  await tree.settle();
  volume.cutPower(() => 0);
  assert.deepEqual(live(), { 'a/f': 'new', G: 'g' });
});

test('content is placed only once it is durable', async () => {
  const { tree } = setUp();
  const file = tree.stage(1);
  tree.finish(1, file, ATTRIBUTES);
  assert.throws(() => tree.place({ kind: 'place', id: 1, path: 'f', expected: null, aside: 'x' }), { name: 'AssertionError' });
});

test('a number used twice does not replace what is in the trash', async () => {
  const { user, tree, statOf, trash, live } = setUp();
  for (const content of ['first', 'second']) {
    write(user, 'f', content);
    const intent = { kind: 'remove', id: 1, path: 'f', expected: statOf('f'), aside: asidePath(1, 'f', 0) } as const;
    if (content === 'first') tree.remove(intent);
    else assert.throws(() => tree.remove(intent), { code: 'local_io' });
  }
  assert.deepEqual(trash(), ['first']);
  assert.deepEqual(live(), { f: 'second' });
});

test('the trash takes names as long as they can be, by their end', () => {
  const aside = asidePath(123, `a/${'é'.repeat(120)}.jpeg`, Date.UTC(2026, 1, 3));
  assert.match(aside, /^\.driftless\/trash\/2026-02-03\/123-é+\.jpeg$/);
  assert.ok(Buffer.byteLength(aside.slice(aside.lastIndexOf('/') + 1)) <= 255);
});

test('a private folder that others may look into is closed to them', () => {
  const { user, tree, statOf } = setUp();
  user.makeFolder('.driftless');
  assert.equal(statOf('.driftless').mode, 0o755);
  tree.clearStaged();
  assert.equal(statOf('.driftless').mode, 0o700);
});

test('a private folder whose mode cannot be changed is used as it is', () => {
  const { user, tree, statOf, before } = setUp();
  user.makeFolder('.driftless');
  before('setMode', () => {
    throw systemError('EPERM', 'chmod', '.driftless');
  });
  tree.clearStaged();
  assert.equal(statOf('.driftless').mode, 0o755);
});
