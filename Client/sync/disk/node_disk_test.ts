import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { diskContract } from '../testing/disk_contract.ts';
import { openNodeDisk } from './node_disk.ts';
import { openCheckedPaths } from './node_disk_folders.ts';

const MEMORY = '/dev/shm';

function temporaryFolder(t: TestContext, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'driftless-disk-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

diskContract('this system', (t) => openNodeDisk(temporaryFolder(t)));
if (existsSync(MEMORY)) diskContract('files in memory', (t) => openNodeDisk(temporaryFolder(t, MEMORY)));
diskContract('a system with neither /proc nor one sync of everything', (t) =>
  openNodeDisk(temporaryFolder(t), { folders: openCheckedPaths, syncsAtOnce: false }),
);

test('names that are not UTF-8 are told apart from those that are', { skip: process.platform !== 'linux' }, (t) => {
  const folder = temporaryFolder(t);
  const disk = openNodeDisk(folder);
  t.after(() => disk.close());
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x61, 0xff])]), '');
  writeFileSync(join(folder, 'a\ufffd'), '');
  writeFileSync(join(folder, 'plain'), '');
  const listing = disk.list('');
  assert.deepEqual([...listing.names].sort(), ['a\ufffd', 'plain']);
  assert.deepEqual(listing.undecodable, [Buffer.from([0x61, 0xff])]);
});

test('hundreds of folders in turn take no more than some dozens of handles', { skip: process.platform !== 'linux' }, (t) => {
  const disk = openNodeDisk(temporaryFolder(t));
  t.after(() => disk.close());
  let deep = 'd';
  disk.mkdir(deep, 0o755);
  for (let depth = 0; depth < 100; depth += 1) {
    deep += '/d';
    disk.mkdir(deep, 0o755);
  }
  for (let index = 0; index < 300; index += 1) {
    disk.mkdir(`f${index}`, 0o755);
    disk.create(`f${index}/x`, 0o600).close();
    disk.link(`f${index}/x`, `${deep}/${index}`);
  }
  assert.equal(disk.list(deep).names.length, 300);
  assert.ok(readdirSync('/proc/self/fd').length < 250);
});

test('a root that was replaced is seen as another, and nothing in it can be changed', { skip: process.platform !== 'linux' }, (t) => {
  const folder = temporaryFolder(t);
  const root = join(folder, 'root');
  mkdirSync(root);
  const disk = openNodeDisk(root);
  t.after(() => disk.close());
  const before = disk.stat('');
  renameSync(root, join(folder, 'elsewhere'));
  assert.equal(disk.stat(''), null);
  assert.throws(() => disk.create('f', 0o600), { code: 'ESTALE' });
  mkdirSync(root);
  assert.notEqual(disk.stat('')?.ino, before?.ino);
  assert.throws(() => disk.create('f', 0o600), { code: 'ESTALE' });
  assert.deepEqual(readdirSync(root), []);
});

test('a root that is reached by a symlink is the folder it led to', (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  const disk = openNodeDisk(join(folder, 'link'));
  t.after(() => disk.close());
  disk.create('f', 0o600).close();
  assert.deepEqual(readdirSync(join(folder, 'real')), ['f']);
});
