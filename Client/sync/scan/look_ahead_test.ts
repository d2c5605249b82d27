import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openNodeDisk } from '../disk/node_disk.ts';
import { lookAt, type Shown } from './folder_picture.ts';
import { type LookAhead, startLookAhead } from './look_ahead.ts';

const root = mkdtempSync(join(tmpdir(), 'driftless-ahead-'));
const disk = openNodeDisk(root);
after(() => {
  disk.close();
  rmSync(root, { recursive: true });
});
for (const folder of ['a/x', 'a/y', 'b']) mkdirSync(join(root, folder), { recursive: true });
for (const file of ['a/1', 'a/x/2', 'b/3']) writeFileSync(join(root, file), file);

function start(folder: string): LookAhead {
  const ahead = startLookAhead(folder);
  assert.ok(ahead !== null);
  return ahead;
}

async function seen(ahead: LookAhead): Promise<Map<string, Shown | null>> {
  const all = new Map<string, Shown | null>();
  while (ahead.waiting > 0) {
    await ahead.arrival;
    for (const [folder, shown] of ahead.take()) all.set(folder, shown);
  }
  return all;
}

test('another thread sees the same', async () => {
  const ahead = start(root);
  try {
    ahead.give(['a', 'b']);
    ahead.give(['a/x']);
    const all = await seen(ahead);
    assert.deepEqual([...all.keys()].sort(), ['a', 'a/x', 'b']);
    for (const [folder, shown] of all) assert.deepEqual(shown, lookAt(disk, folder));
    assert.deepEqual(all.get('a')?.folders, ['x', 'y']);
    assert.equal(all.get('a')?.entries, 3);
  } finally {
    ahead.close();
  }
});

test('what cannot be seen is told as such', async () => {
  const ahead = start(root);
  try {
    ahead.give(['missing', 'a/1', 'b']);
    const all = await seen(ahead);
    assert.equal(all.get('missing'), null);
    assert.equal(all.get('a/1'), null);
    assert.ok(all.get('b'));
  } finally {
    ahead.close();
  }
});

test('a thread that cannot begin or has ended gives back what it was given', async () => {
  const ahead = start(join(root, 'missing'));
  ahead.give(['a']);
  assert.deepEqual(await seen(ahead), new Map([['a', null]]));
  ahead.give(['b']);
  assert.deepEqual(ahead.take(), new Map([['b', null]]));
});
