import assert from 'node:assert/strict';
import { chmodSync, lstatSync, lutimesSync, readdirSync, statSync, symlinkSync, unlinkSync, utimesSync } from 'node:fs';
import { after, before, type TestContext, test } from 'node:test';
import { assertConverged, type Device, openDevices, openWorld, type SyncWorld, settle } from './sync_devices.ts';

let world: SyncWorld;

before(async () => {
  world = await openWorld();
});

after(() => world[Symbol.asyncDispose]());

/** Two devices that have the same files. */
async function pair(t: TestContext, files: Readonly<Record<string, string>> = {}): Promise<[Device, Device]> {
  const [a, b] = await openDevices(world, 2);
  assert.ok(a !== undefined && b !== undefined);
  t.after(() => Promise.all([a.close(), b.close()]));
  for (const [path, content] of Object.entries(files)) a.write(path, content);
  await settle(a, b);
  a.takeDone();
  b.takeDone();
  return [a, b];
}

const namesIn = (device: Device, folder = ''): string[] =>
  readdirSync(device.path(folder))
    .filter((name) => name !== '.driftless')
    .sort();

test('everything a person does to files and folders comes over, in both directions', async (t) => {
  const [a, b] = await pair(t);
  a.write('kept.txt', 'kept');
  a.write('folder/edited.txt', 'before');
  a.write('folder/renamed.txt', 'renamed');
  a.write('folder/moved.txt', 'moved');
  a.write('folder/deleted.txt', 'deleted');
  a.write('folder/deep/er/than/that.txt', 'deep');
  a.write('gone/with/all.txt', 'gone');
  a.write('script.sh', '#!/bin/sh\n');
  a.write('large.bin', Buffer.alloc(3_000_000, 'large'));
  a.write('empty file', '');
  a.write('Grüße/日本.txt', 'names');
  symlinkSync('folder/moved.txt', a.path('link'));
  symlinkSync('/nowhere', a.path('folder/dangling'));
  a.write('empty folder/x');
  a.remove('empty folder/x');
  assert.equal(a.reason('kept.txt'), 'waiting_turn');
  await assertConverged([a, b]);
  assert.equal(a.reason('kept.txt'), 'in_sync');
  assert.equal(b.reason('folder/deep'), 'in_sync');
  assert.equal(b.sync.explain('no such file'), null);

  b.write('folder/edited.txt', 'after');
  b.move('folder/renamed.txt', 'folder/another name.txt');
  b.move('folder/moved.txt', 'Grüße/moved.txt');
  b.remove('folder/deleted.txt');
  b.move('folder/deep', 'deep');
  b.remove('gone');
  chmodSync(b.path('script.sh'), 0o755);
  chmodSync(b.path('Grüße'), 0o700);
  utimesSync(b.path('kept.txt'), 1_000_000_000.123456, 1_000_000_000.123456);
  utimesSync(b.path('empty folder'), 1_100_000_000, 1_100_000_000);
  unlinkSync(b.path('link'));
  symlinkSync('Grüße/moved.txt', b.path('link'));
  b.copy('large.bin', 'copy of large.bin');
  await settle(b, a);
  await assertConverged([a, b]);
  assert.equal(a.read('folder/edited.txt'), 'after');
  assert.equal(a.read('link'), 'moved');
  assert.equal(statSync(a.path('script.sh')).mode & 0o777, 0o755);
  assert.equal(statSync(a.path('Grüße')).mode & 0o777, 0o700);
  assert.deepEqual(namesIn(a), [
    'Grüße',
    'copy of large.bin',
    'deep',
    'empty file',
    'empty folder',
    'folder',
    'kept.txt',
    'large.bin',
    'link',
    'script.sh',
  ]);
});

test('a file becomes a folder, a link a file, a folder a link', async (t) => {
  const [a, b] = await pair(t, { one: 'one', 'three/x': 'x', four: 'four' });
  symlinkSync('one', a.path('two'));
  await assertConverged([a, b]);
  a.remove('one');
  a.write('one/inside', 'a folder now');
  unlinkSync(a.path('two'));
  a.write('two', 'a file now');
  a.remove('three');
  symlinkSync('four', a.path('three'));
  await assertConverged([a, b]);
  assert.equal(b.read('one/inside'), 'a folder now');
  assert.ok(lstatSync(b.path('three')).isSymbolicLink());
});

test('a move sends no content', async (t) => {
  const [a, b] = await pair(t, { 'from/file': 'x'.repeat(100_000), 'from/other': 'y'.repeat(100_000) });
  a.move('from', 'to');
  a.move('to/file', 'file');
  await settle(a, b);
  for (const device of [a, b]) {
    const done = device.takeDone();
    assert.ok(done.length > 0 && done.every(({ bytes }) => bytes === 0), JSON.stringify(done));
  }
  await assertConverged([a, b]);
});

test('edited on both sides: both versions stay on both, under the same names, and are named as a conflict', async (t) => {
  const [a, b] = await pair(t, { 'doc.txt': 'base', 'same.txt': 'base' });
  a.write('doc.txt', 'from a');
  b.write('doc.txt', 'from b');
  a.write('same.txt', 'the same on both');
  b.write('same.txt', 'the same on both');
  await settle(a, b);
  await assertConverged([a, b]);
  const names = namesIn(a);
  const copy = names.find((name) => name.includes('conflict'));
  assert.deepEqual([names.length, copy === undefined], [3, false], names.join(', '));
  assert.equal(a.read('doc.txt'), 'from a');
  assert.equal(a.read(copy ?? ''), 'from b');
  assert.equal(b.reason('doc.txt'), 'in_conflict');
  assert.equal(b.reason(copy ?? ''), 'in_conflict');
  assert.deepEqual(
    b.sync.conflicts().map(({ path, copyPath }) => [path, copyPath]),
    [['doc.txt', copy]],
  );
});

for (const [keep, left] of [
  ['mine', 'from b'],
  ['theirs', 'from a'],
  ['both', 'from a'],
] as const) {
  test(`a conflict is resolved by keeping ${keep}`, async (t) => {
    const [a, b] = await pair(t, { 'doc.txt': 'base' });
    a.write('doc.txt', 'from a');
    b.write('doc.txt', 'from b');
    await settle(a, b);
    await b.sync.resolve('doc.txt', keep);
    await assertConverged([a, b]);
    assert.equal(a.read('doc.txt'), left);
    assert.equal(namesIn(a).length, keep === 'both' ? 2 : 1);
    assert.deepEqual(b.sync.conflicts(), []);
    assert.equal(b.reason('doc.txt'), 'in_sync');
  });
}

test('different files created under one name on both sides are both kept; equal ones are one', async (t) => {
  const [a, b] = await pair(t);
  a.write('notes/today.txt', 'a');
  b.write('notes/today.txt', 'b');
  a.write('notes/equal.txt', 'equal');
  b.write('notes/equal.txt', 'equal');
  await settle(a, b);
  await assertConverged([a, b]);
  const contents = namesIn(a, 'notes').map((name) => a.read(`notes/${name}`));
  assert.deepEqual(contents.sort(), ['a', 'b', 'equal']);
});

test('an edit beats a delete, whichever side it is on', async (t) => {
  const [a, b] = await pair(t, { 'x/one': '1', 'x/two': '2', 'y/three': '3' });
  a.remove('x/one');
  b.write('x/one', 'edited on b');
  a.write('x/two', 'edited on a');
  b.remove('x/two');
  a.remove('y');
  b.write('y/three', 'edited on b');
  b.write('y/new', 'new on b');
  await settle(a, b);
  await assertConverged([a, b]);
  assert.equal(a.read('x/one'), 'edited on b');
  assert.equal(b.read('x/two'), 'edited on a');
  assert.deepEqual(namesIn(a, 'y'), ['new', 'three']);
});

test('deleted on both sides is gone', async (t) => {
  const [a, b] = await pair(t, { 'x/one': '1', two: '2' });
  for (const device of [a, b]) {
    device.remove('x');
    device.remove('two');
  }
  await settle(a, b);
  await assertConverged([a, b]);
  assert.deepEqual(namesIn(a), []);
});

test('a folder renamed here while something is put into it there: it is one folder, with everything in it', async (t) => {
  const [a, b] = await pair(t, { 'old/one': '1', 'old/sub/two': '2' });
  a.move('old', 'new');
  b.write('old/three', '3');
  b.write('old/sub/two', 'edited');
  await settle(a, b);
  await assertConverged([a, b]);
  assert.deepEqual(namesIn(b), ['new']);
  assert.deepEqual(namesIn(b, 'new'), ['one', 'sub', 'three']);
  assert.equal(a.read('new/sub/two'), 'edited');
});

test('moved to different places: the first to arrive wins, and nothing is twice', async (t) => {
  const [a, b] = await pair(t, { file: 'file', 'folder/in': 'in', 'p/x': 'x', 'q/x': 'x' });
  a.move('file', 'p/file');
  b.move('file', 'q/file');
  a.move('folder', 'p/folder');
  b.move('folder', 'q/folder');
  await settle(a, b);
  await assertConverged([a, b]);
  assert.deepEqual(namesIn(b, 'p'), ['file', 'folder', 'x']);
  assert.deepEqual(namesIn(b, 'q'), ['x']);
});

test('each folder moved into the other: nothing is lost', async (t) => {
  const [a, b] = await pair(t, { 'one/in one': '1', 'two/in two': '2' });
  a.move('one', 'two/one');
  b.move('two', 'one/two');
  await settle(a, b);
  await assertConverged([a, b]);
  assert.equal(b.read('two/one/in one'), '1');
  assert.equal(b.read('two/in two'), '2');
});

test('names that trade places, and one file saved over another', async (t) => {
  const [a, b] = await pair(t, { one: '1', two: '2', 'f/x': 'x', 'g/y': 'y', saved: 'old', 'saved.tmp': 'new' });
  a.move('one', 'tmp');
  a.move('two', 'one');
  a.move('tmp', 'two');
  a.move('f', 'h');
  a.move('g', 'f');
  a.move('h', 'g');
  a.move('saved.tmp', 'saved');
  await assertConverged([a, b]);
  assert.deepEqual([b.read('one'), b.read('two'), b.read('f/y'), b.read('g/x'), b.read('saved')], ['2', '1', 'y', 'x', 'new']);
});

test('only the case of a name changes', async (t) => {
  const [a, b] = await pair(t, { 'readme.md': 'text', 'folder/x': 'x' });
  a.move('readme.md', 'README.md');
  a.move('folder', 'Folder');
  await assertConverged([a, b]);
  assert.deepEqual(namesIn(b), ['Folder', 'README.md']);
});

test('the times of links are carried, also of one made anew that leads to the same', async (t) => {
  const [a, b] = await pair(t);
  symlinkSync('target', a.path('link'));
  lutimesSync(a.path('link'), 1_000_000_000, 1_000_000_000);
  await assertConverged([a, b]);
  assert.equal(lstatSync(b.path('link')).mtimeMs, 1_000_000_000_000);
  unlinkSync(b.path('link'));
  symlinkSync('target', b.path('link'));
  await assertConverged([a, b]);
  const [there, here] = [a, b].map((device) => Math.round(lstatSync(device.path('link')).mtimeMs * 1000));
  assert.equal(there, here);
});

test('a dry run names what the run then does, and does nothing itself', async (t) => {
  const [a, b] = await pair(t, { edited: '1', moved: '2', deleted: '3', 'folder/x': '4', both: '5' });
  a.write('edited', 'edited on a');
  a.write('both', 'from a');
  a.move('moved', 'folder/moved');
  a.write('new folder/new', 'new');
  await settle(a);
  b.remove('deleted');
  b.write('both', 'from b');
  b.write('mine', 'mine');
  const before = namesIn(b);
  const plan = await b.sync.preview();
  assert.deepEqual(namesIn(b), before);
  b.takeDone();
  const counted = plan.steps.flat().flatMap((action) => {
    if (action.type === 'set_aside') return ['down set_aside'];
    return 'side' in action ? [`${action.side === 'remote' ? 'up' : 'down'} ${action.type}`] : [];
  });
  const again = await b.sync.preview();
  assert.deepEqual(again, plan, 'another dry run says the same');
  await b.sync.once();
  const done = b.takeDone().map(({ direction, kind }) => `${direction} ${kind}`);
  for (const one of counted) assert.ok(done.includes(one), `${one} was in the plan and not done`);
  // the copy of a conflict has its node from the moment it is set aside, so that sending it is not in the plan of before
  assert.equal(done.length, counted.length + plan.conflicts.length, `${done.join(', ')} | ${counted.join(', ')}`);
  await assertConverged([a, b]);
});
