import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LIMITS } from '../../../Models/limits.ts';
import type { DiskFile } from './disk.ts';
import { contentIs, hashLocal } from './hash_local.ts';
import { openNodeDisk } from './node_disk.ts';

const root = mkdtempSync(join(tmpdir(), 'driftless-hash-'));
const disk = openNodeDisk(root);
after(() => {
  disk.close();
  rmSync(root, { recursive: true });
});

test('short and long files have the content id that reading all at once gives them', async () => {
  for (const size of [0, 1, 4096, LIMITS.chunkBytesMin - 1, LIMITS.chunkBytesMin, LIMITS.chunkBytesMin + 1, 3 << 20]) {
    writeFileSync(join(root, 'file'), randomBytes(size));
    const read = await hashLocal(() => disk.open('file'));
    const file = disk.open('file');
    assert.ok(read !== null && contentIs(file, read.content), `${size} bytes`);
    file.close();
  }
});

test('the content id of a short file is its SHA-256', async () => {
  writeFileSync(join(root, 'file'), 'hello');
  const read = await hashLocal(() => disk.open('file'));
  assert.equal(read?.content, createHash('sha256').update('hello').digest('hex'));
});

test('a short file that changes while it is read has no content id', async () => {
  for (const change of ['a', 'aaaaaaaaaa']) {
    writeFileSync(join(root, 'file'), 'hello');
    const read = await hashLocal(() => changedWhenRead(disk.open('file'), change));
    assert.equal(read, null, `written over with ${change.length} bytes`);
  }
});

test('a long copy is made durable on the way', async () => {
  const size = (64 << 20) + (8 << 20);
  truncateSync(join(root, 'file'), size);
  const calls: string[] = [];
  const into = {
    write: (bytes: Uint8Array, position: number) => void calls.push(`${position + bytes.length}`),
    syncLater: async () => void calls.push('sync'),
  };
  await hashLocal(() => disk.open('file'), into);
  const synced = calls.indexOf('sync');
  assert.ok(Number(calls[synced - 1]) >= 64 << 20 && calls.lastIndexOf('sync') === synced);
  assert.equal(calls.at(-1), `${size}`);
});

/** Somebody else writes into the file just before the first read. */
function changedWhenRead(file: DiskFile, text: string): DiskFile {
  return {
    stat: () => file.stat(),
    read(target, position) {
      const fd = openSync(join(root, 'file'), 'r+');
      writeSync(fd, text);
      closeSync(fd);
      return file.read(target, position);
    },
    readAhead: (target, position) => file.readAhead(target, position),
    write: () => assert.fail(),
    truncate: () => assert.fail(),
    setMode: () => assert.fail(),
    setTimes: () => assert.fail(),
    sync: () => assert.fail(),
    syncLater: () => assert.fail(),
    close: () => file.close(),
  };
}
