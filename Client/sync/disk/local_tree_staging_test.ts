import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DiskCall, openMemoryDisk } from '../testing/memory_disk.ts';
import { MemoryVolume, systemError } from '../testing/memory_disk_volume.ts';
import { Staging } from './local_tree_staging.ts';

const ATTRIBUTES = { mode: 0o644, mtimeUs: 1_700_000_000_000_000 };

test('content is durable also when others of its batch were given up', async () => {
  const volume = new MemoryVolume({ now: () => 1_700_000_000_000 });
  let synced: string[] = [];
  const disk = openMemoryDisk(volume, ({ name, path }) => {
    if (name === 'file.sync') synced.push(path);
    if (name === 'syncAll') synced = [...disk.list('tmp').names].map((file) => `tmp/${file}`);
  });
  disk.mkdir('tmp', 0o700);
  const staging = new Staging(disk, 'tmp', () => undefined);
  const finish = (id: number): void => {
    const file = staging.create(id);
    file.write(Buffer.from('content'), 0);
    staging.finish(id, file, ATTRIBUTES);
  };
  for (const id of [1, 2, 3]) finish(id); // so many that none stays open
  staging.discard(2);
  staging.discard(3);
  finish(4);
  staging.discard(4);
  await staging.seal();
  assert.ok(synced.includes('tmp/1'), `durable: ${synced.join(', ')}`);
});

test('content is durable also when a file of the batch could not be closed', async () => {
  const volume = new MemoryVolume({ now: () => 1_700_000_000_000 });
  const calls: DiskCall['name'][] = [];
  let failures = 0;
  const disk = openMemoryDisk(volume, ({ name, path }) => {
    calls.push(name);
    if (name !== 'file.close' || failures === 0) return;
    failures -= 1;
    throw systemError('EIO', 'close', path);
  });
  disk.mkdir('tmp', 0o700);
  const staging = new Staging(disk, 'tmp', () => undefined);
  const finish = (id: number): void => {
    const file = staging.create(id);
    file.write(Buffer.from('content'), 0);
    staging.finish(id, file, ATTRIBUTES);
  };
  finish(1);
  finish(2);
  const third = staging.create(3);
  const close = (): void => {
    third.close();
    failures = 1; // the next that is closed is one of those that were kept open
  };
  assert.throws(() => staging.finish(3, { ...third, close }, ATTRIBUTES), { code: 'EIO' });
  staging.discard(3);
  calls.length = 0;
  await staging.seal();
  assert.ok(calls.includes('syncAll') || calls.filter((name) => name === 'file.sync').length === 2, calls.join(', '));
});
