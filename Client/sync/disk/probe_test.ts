import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openMemoryDisk } from '../testing/memory_disk.ts';
import { otherProgram } from '../testing/memory_disk_user.ts';
import { MemoryVolume, systemError, type VolumeOptions } from '../testing/memory_disk_volume.ts';
import type { DiskFeatures } from './disk.ts';
import { openNodeDisk } from './node_disk.ts';
import { probeDisk } from './probe.ts';

const ALL: Omit<DiskFeatures, 'timeStepMs'> = {
  hardLinks: true,
  foldsCase: false,
  foldsUnicode: false,
  birthTimes: true,
  permissions: true,
  symlinks: true,
  anyName: true,
};

function memory(options: Partial<VolumeOptions> = {}) {
  let time = 1_700_000_000_000;
  return new MemoryVolume({
    now: () => {
      time += 1;
      return time;
    },
    ...options,
  });
}

for (const [option, feature] of [
  [{}, {}],
  [{ hardLinks: false }, { hardLinks: false }],
  [{ foldsCase: true }, { foldsCase: true }],
  [{ foldsUnicode: true }, { foldsUnicode: true }],
  [{ birthTimes: false }, { birthTimes: false }],
  [{ permissions: false }, { permissions: false }],
  [{ symlinks: false }, { symlinks: false }],
  [{ anyName: false }, { anyName: false }],
] as const) {
  test(`a disk of ${JSON.stringify(option)} is found to be one, and nothing stays of the attempt`, () => {
    const volume = memory(option);
    const { timeStepMs, ...found } = probeDisk(openMemoryDisk(volume));
    assert.deepEqual(found, { ...ALL, ...feature });
    assert.ok(timeStepMs < 1000, String(timeStepMs));
    assert.deepEqual(
      otherProgram(volume)
        .walk()
        .map(({ path }) => path),
      ['.driftless'],
    );
  });
}

test('times are as fine as they are kept', () => {
  assert.equal(probeDisk(openMemoryDisk(memory({ timeStepMs: 2000 }))).timeStepMs, 2000);
  assert.equal(probeDisk(openMemoryDisk(memory({ timeStepMs: 1000 }))).timeStepMs, 1000);
});

test('what an interrupted attempt left does not matter', () => {
  const volume = memory();
  const user = otherProgram(volume);
  for (const folder of ['.driftless', '.driftless/probe']) user.makeFolder(folder);
  for (const name of ['one', 'two', 'Case']) user.write(`.driftless/probe/${name}`, Buffer.of());
  assert.equal(probeDisk(openMemoryDisk(volume)).hardLinks, true);
});

test('trouble is not taken for something that the file system cannot do', () => {
  for (const code of ['EIO', 'ENOSPC']) {
    for (const name of ['link', 'symlink', 'create', 'setMode']) {
      const disk = openMemoryDisk(memory(), (call) => {
        if (call.name === name) throw systemError(code, name, call.path);
      });
      assert.throws(() => probeDisk(disk), { code: 'local_io' });
    }
  }
});

const FOLDER_TYPES: Readonly<Record<number, string>> = { 61267: 'ext', 16914836: 'tmpfs', 2435016766: 'btrfs', 1481003842: 'xfs' };

test('the file system of the temporary folder', (t) => {
  const folder = temporaryFolder(t);
  const type = FOLDER_TYPES[statfsSync(folder).type];
  if (type === undefined) return t.skip('nothing is known of this one');
  const disk = openNodeDisk(folder);
  t.after(() => disk.close());
  const { timeStepMs, ...found } = probeDisk(disk);
  assert.deepEqual(found, ALL);
  assert.ok(timeStepMs <= 100, String(timeStepMs));
});

const FAT = { hardLinks: false, foldsCase: true, permissions: false, symlinks: false, anyName: false, timeStepMs: 2000 };

for (const [name, make, expected] of [
  ['ext2 with small inodes', ['mkfs.ext2', '-q', '-I', '128'], { birthTimes: false, timeStepMs: 1000 }],
  ['ext4 that can fold names, where it does not', ['mkfs.ext4', '-q', '-O', 'casefold', '-E', 'encoding=utf8'], { timeStepMs: 1 }],
  ['FAT', ['mkfs.vfat'], FAT],
] as const) {
  test(`a real file system: ${name}`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'driftless-probe-'));
    const mounted = join(folder, 'mounted');
    try {
      const problem = mountImage(folder, mounted, make);
      if (problem !== null) return t.skip(problem);
      const disk = openNodeDisk(mounted);
      const found = probeDisk(disk);
      disk.close();
      assert.deepEqual(found, { ...ALL, ...expected });
    } finally {
      spawnSync('umount', [mounted]);
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'driftless-probe-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** @returns why not; `null` when it is mounted */
function mountImage(folder: string, mounted: string, [maker, ...options]: readonly string[]): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting takes root on Linux';
  const image = join(folder, 'image');
  mkdirSync(mounted);
  const commands = [
    ['truncate', '-s', '40M', image],
    [maker ?? '', ...options, image],
    ['mount', '-o', 'loop', image, mounted],
  ];
  for (const [command, ...words] of commands) {
    const { error, status, stderr } = spawnSync(command ?? '', words, { encoding: 'utf8' });
    if (status !== 0) return `${command} does not work here: ${error?.message ?? stderr.split('\n')[0]}`;
  }
  return null;
}
