import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../Models/testing/seeded_random.ts';
import type { Disk } from '../disk/disk.ts';
import { diskContract } from './disk_contract.ts';
import { openMemoryDisk, ProcessKilled, ShortWrite } from './memory_disk.ts';
import { otherProgram } from './memory_disk_user.ts';
import { MemoryVolume, systemError, type VolumeOptions } from './memory_disk_volume.ts';

diskContract('disk in memory', () => openMemoryDisk(new MemoryVolume({ now: Date.now })));

function make(options: Partial<VolumeOptions> = {}) {
  const clock = { now: 1_000_000 };
  const volume = new MemoryVolume({ now: () => clock.now, ...options });
  return { clock, volume, disk: openMemoryDisk(volume), user: otherProgram(volume) };
}

function writeFile(disk: Disk, path: string, text: string, sync: boolean): void {
  const file = disk.create(path, 0o644);
  file.write(Buffer.from(text), 0);
  if (sync) file.sync();
  file.close();
}

/** What may be found at `path` after a power cut, over many chances; `null`: nothing. */
function afterCuts(path: string, prepare: (made: ReturnType<typeof make>) => void): Set<string | null> {
  const found = new Set<string | null>();
  for (let seed = 0; seed < 200; seed += 1) {
    const made = make();
    prepare(made);
    made.volume.cutPower(seededRandom(seed));
    const there = made.user.find(path);
    found.add(there === null ? null : there.bytes.toString());
  }
  return found;
}

const code = (expected: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === expected;

test('what was written is read back, and its stat says so', () => {
  const { disk, clock } = make();
  disk.mkdir('a', 0o755);
  clock.now = 2_000_000;
  writeFile(disk, 'a/f', 'hello', false);
  const stat = disk.stat('a/f');
  assert.equal(stat?.size, 5);
  assert.equal(stat?.mtimeMs, 2_000_000);
  assert.equal(stat?.birthMs, 2_000_000);
  assert.deepEqual(disk.list('a').names, ['f']);
  const file = disk.open('a/f');
  const bytes = Buffer.alloc(10);
  assert.equal(file.read(bytes, 1), 4);
  assert.equal(bytes.toString('utf8', 0, 4), 'ello');
  assert.equal(disk.stat('a/nothing'), null);
  assert.equal(disk.stat('a/f/below'), null);
});

test('link and create never replace, rename does, rmdir only takes an empty folder', () => {
  const { disk } = make();
  disk.mkdir('a', 0o755);
  writeFile(disk, 'a/f', 'one', false);
  writeFile(disk, 'g', 'two', false);
  assert.throws(() => disk.link('g', 'a/f'), code('EEXIST'));
  assert.throws(() => disk.create('g', 0o644), code('EEXIST'));
  assert.throws(() => disk.rmdir('a'), code('ENOTEMPTY'));
  disk.rename('g', 'a/f');
  assert.equal(disk.stat('g'), null);
  assert.throws(() => disk.rename('a', 'a/b'), code('EINVAL'));
  disk.unlink('a/f');
  disk.rmdir('a');
});

test('no call goes through a symlink', () => {
  const { disk } = make();
  disk.mkdir('real', 0o755);
  writeFile(disk, 'real/f', 'x', false);
  disk.symlink('real', 'way');
  assert.equal(disk.readlink('way'), 'real');
  assert.throws(() => disk.open('way/f'), code('ELOOP'));
  assert.equal(disk.stat('way/f'), null);
  assert.throws(() => disk.open('way'), code('ELOOP'));
  assert.equal(disk.stat('way')?.kind, 'symlink');
});

test('a file that is synced is lost with its name when its folder was not', () => {
  assert.deepEqual(
    afterCuts('f', ({ disk }) => writeFile(disk, 'f', 'x', true)),
    new Set([null, 'x']),
  );
});

test('a name that is synced may hold any part of content that was not', () => {
  const pages = ['a', 'b'].map((letter) => letter.repeat(4096));
  const found = afterCuts('f', ({ disk }) => {
    writeFile(disk, 'f', pages.join(''), false);
    disk.syncFolder('');
  });
  assert.deepEqual(found, new Set(['', pages[0], pages.join('')]));
});

test('content and folder synced: nothing is lost; syncAll does the same for everything', async () => {
  const synced = afterCuts('f', ({ disk }) => {
    writeFile(disk, 'f', 'x', true);
    disk.syncFolder('');
  });
  assert.deepEqual(synced, new Set(['x']));
  const { disk, volume, user } = make();
  disk.mkdir('a', 0o755);
  writeFile(disk, 'a/f', 'x', false);
  await disk.syncAll();
  volume.cutPower(() => 0);
  assert.equal(user.find('a/f')?.bytes.toString(), 'x');
});

test('a folder whose own name was not synced takes what is in it along', () => {
  const found = afterCuts('a/f', ({ disk }) => {
    disk.mkdir('a', 0o755);
    writeFile(disk, 'a/f', 'x', true);
    disk.syncFolder('a');
  });
  assert.deepEqual(found, new Set([null, 'x']));
});

test('a rename that was not synced has happened or has not; the file is never at neither place', () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const { disk, volume, user } = make();
    disk.mkdir('a', 0o755);
    writeFile(disk, 'f', 'x', true);
    volume.syncAll();
    disk.rename('f', 'a/g');
    if (seed % 2 === 0) disk.syncFolder('a');
    volume.cutPower(seededRandom(seed));
    const places = [user.find('f'), user.find('a/g')].filter((found) => found !== null);
    assert.ok(places.length > 0);
    if (seed % 2 === 0) assert.ok(user.find('a/g') !== null);
  }
});

test('what is moved into a new folder is not lost when that folder was not synced', () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const { disk, volume, user } = make();
    writeFile(disk, 'f', 'x', true);
    volume.syncAll();
    disk.mkdir('a', 0o755);
    disk.mkdir('a/b', 0o755);
    disk.rename('f', 'a/b/f');
    volume.cutPower(seededRandom(seed));
    assert.ok(user.find('f') !== null || user.find('a/b/f') !== null);
  }
});

test('replacing by rename without a sync leaves the old or the new content', () => {
  const found = afterCuts('f', ({ disk, volume }) => {
    writeFile(disk, 'f', 'old', true);
    volume.syncAll();
    writeFile(disk, 'tmp', 'new', true);
    disk.rename('tmp', 'f');
  });
  assert.ok(found.has('old') && found.has('new'));
  assert.ok(!found.has(''));
});

test('random changes and a power cut leave a tree in which every folder is in one place and nothing synced is missing', () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const random = seededRandom(seed);
    const { disk, volume, user } = make();
    const names = ['a', 'b', 'a/a', 'a/b', 'b/a', 'b/b'];
    const name = (): string => names[Math.floor(random() * names.length)] ?? 'a';
    for (let step = 0; step < 60; step += 1) {
      try {
        [
          () => disk.mkdir(name(), 0o755),
          () => disk.mkdir(name(), 0o755),
          () => writeFile(disk, name(), 'x', true),
          () => disk.rename(name(), name()),
          () => disk.rename(name(), name()),
          () => disk.unlink(name()),
          () => disk.rmdir(name()),
          () => disk.syncFolder(name()),
          () => disk.syncFolder(''),
        ][Math.floor(random() * 9)]?.();
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error;
      }
    }
    const whole = random() < 0.5;
    if (whole) volume.syncAll();
    const before = user.walk().map(({ path }) => path);
    volume.cutPower(random);
    const after = user.walk();
    const folders = after.filter(({ stat }) => stat.kind === 'folder').map(({ stat }) => stat.ino);
    assert.equal(new Set(folders).size, folders.length, `seed ${seed}`);
    if (whole)
      assert.deepEqual(
        after.map(({ path }) => path),
        before,
        `seed ${seed}`,
      );
  }
});

test('a deleted folder that another program removed stays away after a power cut', () => {
  const found = afterCuts('a/b/f', ({ user }) => {
    user.makeFolder('a');
    user.makeFolder('a/b');
    user.write('a/b/f', Buffer.from('x'));
    user.remove('a');
  });
  assert.deepEqual(found, new Set([null]));
});

test('an inode number is used again once nothing has it, not while a file is open', () => {
  const { disk } = make();
  const file = disk.create('f', 0o644);
  const { ino } = file.stat();
  disk.unlink('f');
  writeFile(disk, 'g', 'x', false);
  assert.notEqual(disk.stat('g')?.ino, ino);
  file.close();
  writeFile(disk, 'h', 'x', false);
  assert.equal(disk.stat('h')?.ino, ino);
});

test('times are kept in steps, and an edit under the same time only shows in ctime', () => {
  const { user, clock, disk } = make({ timeStepMs: 2000 });
  clock.now = 10_001;
  user.write('f', Buffer.from('one'));
  assert.equal(disk.stat('f')?.mtimeMs, 10_000);
  clock.now = 14_500;
  user.editQuietly('f', Buffer.from('two'));
  assert.equal(disk.stat('f')?.mtimeMs, 10_000);
  assert.equal(disk.stat('f')?.ctimeMs, 14_000);
});

test('names fold where the file system folds them, and keep the form they were given', () => {
  const { disk } = make({ foldsCase: true, foldsUnicode: true });
  writeFile(disk, 'Né', 'x', false);
  assert.ok(disk.stat('NÉ'.normalize('NFD')) !== null);
  assert.throws(() => disk.create('né', 0o644), code('EEXIST'));
  disk.rename('Né', 'nÉ');
  assert.deepEqual(disk.list('').names, ['nÉ']);
  const decomposing = make({ decomposes: true }).disk;
  writeFile(decomposing, 'é', 'x', false);
  assert.deepEqual(decomposing.list('').names, ['é'.normalize('NFD')]);
});

test('permissions are kept and hold: a folder without them can be neither listed nor changed', () => {
  const { disk, user } = make();
  disk.mkdir('a', 0o755);
  writeFile(disk, 'a/f', 'x', false);
  disk.setMode('a/f', 0o200);
  assert.throws(() => disk.open('a/f'), code('EACCES'));
  disk.setMode('a', 0o500);
  assert.throws(() => disk.create('a/g', 0o644), code('EACCES'));
  assert.throws(() => disk.unlink('a/f'), code('EACCES'));
  disk.setMode('a', 0o300);
  assert.throws(() => disk.list('a'), code('EACCES'));
  assert.throws(() => user.write('a/f/x', Buffer.from('')), code('ENOTDIR'));
  const flat = make({ permissions: false }).disk;
  flat.mkdir('a', 0o500);
  assert.equal(flat.stat('a')?.mode, 0o777);
});

test('two names of one file share its content', () => {
  const { user, disk } = make();
  user.write('f', Buffer.from('one'));
  user.hardLink('f', 'g');
  user.write('g', Buffer.from('two'));
  assert.equal(user.find('f')?.bytes.toString(), 'two');
  assert.equal(disk.stat('f')?.ino, disk.stat('g')?.ino);
  user.save('g', Buffer.from('three'));
  assert.equal(user.find('f')?.bytes.toString(), 'two');
  const without = make({ hardLinks: false });
  without.user.write('f', Buffer.from('x'));
  assert.throws(() => without.disk.link('f', 'g'), code('EPERM'));
});

test('a name that is not UTF-8 is told of, and by itself', () => {
  const { disk, user } = make();
  user.makeUndecodable('', Uint8Array.of(0xff));
  writeFile(disk, 'f', 'x', false);
  assert.deepEqual(disk.list('').names, ['f']);
  assert.deepEqual(disk.list('').undecodable, [Uint8Array.of(0xff)]);
});

test('the hook may fail a call, cut a write short, edit as a person would, and kill', () => {
  const { volume, user } = make();
  const seen: string[] = [];
  let next: (() => void) | undefined;
  const disk = openMemoryDisk(volume, ({ name }) => {
    seen.push(name);
    const effect = next;
    next = undefined;
    effect?.();
  });
  next = () => {
    throw systemError('EIO', 'mkdir', 'a');
  };
  assert.throws(() => disk.mkdir('a', 0o755), code('EIO'));
  const file = disk.create('f', 0o644);
  next = () => {
    throw new ShortWrite(2);
  };
  assert.throws(() => file.write(Buffer.from('hello'), 0), code('ENOSPC'));
  assert.equal(user.find('f')?.bytes.toString(), 'he');
  next = () => user.write('g', Buffer.from('faster'));
  assert.throws(() => disk.link('f', 'g'), code('EEXIST'));
  next = () => {
    throw new ProcessKilled('killed');
  };
  assert.throws(() => disk.unlink('f'), ProcessKilled);
  assert.equal(disk.isDead, true);
  assert.throws(() => file.read(Buffer.alloc(1), 0), ProcessKilled);
  assert.throws(() => disk.stat('f'), ProcessKilled);
  assert.equal(user.find('f')?.bytes.toString(), 'he');
  assert.deepEqual(seen, ['mkdir', 'create', 'file.write', 'link', 'unlink']);
});
