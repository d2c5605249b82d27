import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { chmod, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import type { TreeEntry } from '../../Models/tree_frames.ts';
import {
  finishPart,
  looksSame,
  mtimeUs,
  openPart,
  partPath,
  removeOldParts,
  setAttributes,
  sha256,
  writeSmallFile,
} from './local_files.ts';

function entryWith(mtime: number, mode = 0o644): TreeEntry {
  const digest = sha256(new Uint8Array(0));
  return { name: 'f', kind: 'file', size: 0, mtimeUs: mtime, version: 1, mode, chunkCount: 0, digest, target: null };
}

test('a time before 1970 and one of a microsecond come back as they were, whichever way a file is written', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'f');
  for (const mtime of [-1, -1_500_000, -86_400_000_001, 0, 1, 1_700_000_000_123_457]) {
    const entry = entryWith(mtime);
    writeSmallFile(path, [], entry, partPath(path));
    assert.equal(mtimeUs(lstatSync(path)), mtime);
    await writeFile(path, '');
    setAttributes(path, entry);
    assert.equal(mtimeUs(lstatSync(path)), mtime);
    const part = join(folder, 'part');
    finishPart(openPart(part), part, path, entry);
    assert.equal(mtimeUs(lstatSync(path)), mtime);
    assert.ok(looksSame(lstatSync(path), entry));
  }
});

test('a file has exactly the permission bits it comes with, and until it is whole nobody else can read it', async (t) => {
  const folder = await temporaryFolder(t);
  const umask = process.umask();
  t.after(() => process.umask(umask));
  for (const mask of [0, 0o077]) {
    process.umask(mask);
    for (const mode of [0o600, 0o644, 0o666, 0o755, 0o400]) {
      const path = join(folder, `f-${mask}-${mode}`);
      const part = partPath(path);
      const seen: number[] = [];
      const content = Object.assign([new Uint8Array(1)], {
        *[Symbol.iterator]() {
          seen.push(lstatSync(part).mode & 0o777);
          yield new Uint8Array(1);
        },
      });
      writeSmallFile(path, content, entryWith(0, mode), part);
      assert.deepEqual([...seen, lstatSync(path).mode & 0o777], [0o600, mode]);
      await chmod(path, 0o606);
      setAttributes(path, entryWith(0, mode));
      assert.equal(lstatSync(path).mode & 0o777, mode);
      await writeFile(part, '', { mode: 0o666 }); // as an interrupted transfer may have left it
      const fd = openPart(part);
      assert.equal(lstatSync(part).mode & 0o777, 0o600);
      finishPart(fd, part, path, entryWith(0, mode));
      assert.equal(lstatSync(path).mode & 0o777, mode);
    }
  }
});

test('a time too far away to be told becomes the furthest one that can', async (t) => {
  const path = join(await temporaryFolder(t), 'f');
  await writeFile(path, '');
  execFileSync('touch', ['-d', '2400-01-01T00:00:00Z', path]);
  const stats = lstatSync(path);
  if (stats.mtimeMs < 9_007_199_254_740) return t.skip('this file system does not hold the year 2400');
  assert.equal(mtimeUs(stats), Number.MAX_SAFE_INTEGER);
  writeSmallFile(path, [], entryWith(Number.MAX_SAFE_INTEGER), partPath(path));
  assert.equal(mtimeUs(lstatSync(path)), Number.MAX_SAFE_INTEGER);
});

test('part files that nothing was written to for long are taken away, and nothing else is', async (t) => {
  const folder = await temporaryFolder(t);
  const parts = ['1', '2'].map((digit) => `.driftless-${digit.repeat(16)}.part`);
  const others = ['.driftless-notes.part', 'old'];
  for (const name of [...parts, ...others]) await writeFile(join(folder, name), '');
  const oldMs = Date.now() - 60_000;
  for (const name of [parts[0] as string, ...others]) await utimes(join(folder, name), oldMs / 1000, oldMs / 1000);
  removeOldParts(folder, Date.now() - 30_000);
  assert.deepEqual((await readdir(folder)).sort(), [parts[1], ...others].sort());
});
