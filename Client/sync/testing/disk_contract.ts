import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Disk } from '../disk/disk.ts';

const MTIME_US = 1_700_000_000_123_456;

/** What every disk does. @param open a new, empty one each time; the contract closes it */
export function diskContract(name: string, open: (t: TestContext) => Disk): void {
  const check = (claim: string, body: (disk: Disk) => void | Promise<void>): void => {
    test(`${name}: ${claim}`, async (t) => {
      const disk = open(t);
      t.after(() => disk.close());
      await body(disk);
    });
  };
  contentContract(check);
  nameContract(check);
  refusalContract(check);
  symlinkContract(check);
}

type Check = (claim: string, body: (disk: Disk) => void | Promise<void>) => void;

function contentContract(check: Check): void {
  check('bytes come back from where they were written, zeros from where none were', async (disk) => {
    const file = disk.create('f', 0o600);
    file.write(Buffer.from('end'), 10);
    file.write(Buffer.from('begin'), 0);
    assert.equal(readAll(disk, 'f'), `begin${'\0'.repeat(5)}end`);
    const target = Buffer.alloc(5);
    assert.equal(file.read(target, 8), 5);
    assert.equal(target.toString(), '\0\0end');
    assert.equal(await file.readAhead(target, 11), 2);
    assert.equal(file.read(target, 13), 0);
    assert.equal(await file.readAhead(target, 99), 0);
    assert.equal(file.stat().size, 13);
    file.truncate(2);
    file.sync();
    assert.equal(file.stat().size, 2);
    file.truncate(4);
    await file.syncLater();
    file.close();
    assert.equal(readAll(disk, 'f'), 'be\0\0');
  });

  check('a new file is empty, of now, and has a number of its own', (disk) => {
    const before = Date.now();
    write(disk, 'a', '');
    write(disk, 'b', '');
    const [a, b] = [disk.stat('a'), disk.stat('b')];
    assert.equal(a?.kind, 'file');
    assert.equal(a?.size, 0);
    assert.ok(Math.abs((a?.mtimeMs ?? 0) - before) < 10_000);
    assert.notEqual(a?.ino, b?.ino);
    assert.equal(a?.dev, b?.dev);
  });

  check('mode and time are set by handle and by name, to the microsecond', (disk) => {
    const file = disk.create('f', 0o600);
    file.setMode(0o751);
    file.setTimes(MTIME_US);
    const seen = file.stat();
    file.close();
    assert.deepEqual(disk.stat('f'), seen);
    assert.equal(seen.mode, 0o751);
    assert.equal(Math.round(seen.mtimeMs * 1000), MTIME_US);
    disk.setMode('f', 0);
    disk.setTimes('f', -1);
    assert.equal(disk.stat('f')?.mode, 0);
    assert.equal(Math.round((disk.stat('f')?.mtimeMs ?? 0) * 1000), -1);
    disk.mkdir('d', 0o700);
    disk.setMode('d', 0o750);
    disk.setTimes('d', MTIME_US);
    assert.equal(disk.stat('d')?.kind, 'folder');
    assert.equal(disk.stat('d')?.mode, 0o750);
    assert.equal(Math.round((disk.stat('d')?.mtimeMs ?? 0) * 1000), MTIME_US);
  });

  check('writing changes the time of content, setting times the time of change', (disk) => {
    const file = disk.create('f', 0o600);
    file.setTimes(MTIME_US);
    const before = file.stat();
    file.write(Buffer.from('x'), 0);
    const after = file.stat();
    file.close();
    assert.ok(after.mtimeMs > before.mtimeMs);
    assert.ok(after.ctimeMs >= before.ctimeMs);
    assert.ok(after.ctimeMs > MTIME_US / 1000);
  });

  check('an open file stays what it is when its name goes, moves, or means another file', (disk) => {
    write(disk, 'f', 'first');
    const reading = disk.open('f');
    disk.rename('f', 'g');
    write(disk, 'f', 'second');
    disk.unlink('g');
    const target = Buffer.alloc(9);
    assert.equal(target.toString('utf8', 0, reading.read(target, 0)), 'first');
    reading.close();
    assert.equal(readAll(disk, 'f'), 'second');
  });

  check('what is written by a handle goes to wherever the file is now', (disk) => {
    const file = disk.create('f', 0o600);
    disk.rename('f', 'g');
    file.write(Buffer.from('late'), 0);
    file.close();
    assert.equal(readAll(disk, 'g'), 'late');
  });

  check('a file opened for reading cannot be written', (disk) => {
    write(disk, 'f', 'x');
    const file = disk.open('f');
    assert.throws(() => file.write(Buffer.from('y'), 0), code('EBADF'));
    file.close();
  });

  check('syncing works on folders and on everything', async (disk) => {
    disk.mkdir('d', 0o755);
    write(disk, 'd/f', 'x');
    disk.syncFolder('d');
    disk.syncFolder('');
    await disk.syncAll();
    disk.unlink('d/f');
    disk.rmdir('d');
    await disk.syncAll();
    assert.throws(() => disk.syncFolder('d'), code('ENOENT'));
  });
}

function nameContract(check: Check): void {
  check('names are listed as they are, the folder itself is one', (disk) => {
    assert.deepEqual(disk.list(''), { names: [], undecodable: [] });
    for (const name of ['b', 'ä', 'a b', '\ufeffx', '\ufffd', 'x (deleted)', '😀']) write(disk, name, '');
    disk.mkdir('d', 0o755);
    write(disk, 'd/inner', '');
    assert.deepEqual(new Set(disk.list('').names), new Set(['b', 'ä', 'a b', '\ufeffx', '\ufffd', 'x (deleted)', '😀', 'd']));
    assert.deepEqual(disk.list('d').names, ['inner']);
    assert.equal(disk.stat('')?.kind, 'folder');
  });

  check('nothing there is null, also below a file', (disk) => {
    write(disk, 'f', '');
    assert.equal(disk.stat('missing'), null);
    assert.equal(disk.stat('missing/x'), null);
    assert.equal(disk.stat('f/x'), null);
  });

  check('a link is a second name of one file, and never replaces', (disk) => {
    write(disk, 'f', 'x');
    write(disk, 'taken', 'y');
    disk.mkdir('d', 0o755);
    disk.link('f', 'd/g');
    assert.equal(disk.stat('d/g')?.ino, disk.stat('f')?.ino);
    assert.throws(() => disk.link('f', 'taken'), code('EEXIST'));
    assert.throws(() => disk.link('f', 'd/g'), code('EEXIST'));
    assert.throws(() => disk.link('f', 'd'), code('EEXIST'));
    assert.equal(readAll(disk, 'taken'), 'y');
    disk.unlink('f');
    assert.equal(readAll(disk, 'd/g'), 'x');
  });

  check('a rename keeps the file and its times, and replaces what is there', (disk) => {
    disk.mkdir('d', 0o755);
    write(disk, 'f', 'new');
    write(disk, 'd/g', 'old');
    const before = disk.stat('f');
    disk.rename('f', 'd/g');
    const after = disk.stat('d/g');
    assert.equal(disk.stat('f'), null);
    assert.equal(after?.ino, before?.ino);
    assert.equal(after?.mtimeMs, before?.mtimeMs);
    assert.equal(readAll(disk, 'd/g'), 'new');
    assert.deepEqual(disk.list('d').names, ['g']);
  });

  check('a rename onto another name of the same file does nothing', (disk) => {
    write(disk, 'f', 'x');
    disk.link('f', 'g');
    disk.rename('f', 'g');
    assert.deepEqual(new Set(disk.list('').names), new Set(['f', 'g']));
  });

  check('a folder moves with everything in it, also over an empty one, and comes back', (disk) => {
    for (const folder of ['a', 'a/b', 'c']) disk.mkdir(folder, 0o755);
    write(disk, 'a/b/f', 'x');
    const before = disk.stat('a');
    disk.rename('a', 'c');
    assert.equal(disk.stat('a/b/f'), null);
    assert.equal(readAll(disk, 'c/b/f'), 'x');
    assert.equal(disk.stat('c')?.ino, before?.ino);
    disk.mkdir('a', 0o755);
    disk.rename('c/b', 'a/b');
    assert.equal(readAll(disk, 'a/b/f'), 'x');
    assert.deepEqual(disk.list('c').names, []);
  });

  check('another folder under the name of one used before is the one that counts', (disk) => {
    disk.mkdir('a', 0o755);
    write(disk, 'a/old', '');
    disk.rename('a', 'b');
    disk.mkdir('a', 0o755);
    write(disk, 'a/new', '');
    assert.deepEqual(disk.list('a').names, ['new']);
    assert.equal(disk.stat('a/old'), null);
    disk.unlink('a/new');
    disk.rmdir('a');
    assert.equal(disk.stat('a/new'), null);
    assert.throws(() => disk.create('a/x', 0o600), code('ENOENT'));
    assert.deepEqual(disk.list('b').names, ['old']);
  });
}

function refusalContract(check: Check): void {
  check('what is missing is ENOENT', (disk) => {
    write(disk, 'f', '');
    for (const path of ['no', 'no/no']) {
      for (const call of callsAt(disk, path)) assert.throws(call, code('ENOENT'));
      assert.throws(() => disk.rename(path, 'x'), code('ENOENT'));
      assert.throws(() => disk.link(path, 'x'), code('ENOENT'));
    }
    for (const call of callsMaking(disk, 'no/x', 'f')) assert.throws(call, code('ENOENT'));
    assert.deepEqual(disk.list('').names, ['f']);
  });

  check('what is taken is EEXIST', (disk) => {
    disk.mkdir('d', 0o755);
    write(disk, 'f', 'x');
    for (const path of ['d', 'f']) {
      assert.throws(() => disk.create(path, 0o600), code('EEXIST'));
      assert.throws(() => disk.mkdir(path, 0o755), code('EEXIST'));
      assert.throws(() => disk.symlink('t', path), code('EEXIST'));
    }
    assert.equal(readAll(disk, 'f'), 'x');
  });

  check('a file is not a folder, and a folder not a file', (disk) => {
    disk.mkdir('d', 0o755);
    disk.mkdir('full', 0o755);
    write(disk, 'full/f', '');
    write(disk, 'f', '');
    assert.throws(() => disk.list('f'), code('ENOTDIR'));
    assert.throws(() => disk.rmdir('f'), code('ENOTDIR'));
    assert.throws(() => disk.rename('d', 'f'), code('ENOTDIR'));
    assert.throws(() => disk.rename('f', 'd'), code('EISDIR'));
    assert.throws(() => disk.open('d'), code('EISDIR'));
    assert.throws(() => disk.unlink('d'), code('EISDIR', 'EPERM'));
    assert.throws(() => disk.link('d', 'x'), code('EPERM'));
    assert.throws(() => disk.readlink('f'), code('EINVAL'));
    assert.throws(() => disk.readlink('d'), code('EINVAL'));
    assert.throws(() => disk.rmdir('full'), code('ENOTEMPTY', 'EEXIST'));
    assert.throws(() => disk.rename('d', 'full'), code('ENOTEMPTY', 'EEXIST'));
    assert.throws(() => disk.rename('d', 'd/x'), code('EINVAL'));
    for (const call of [...callsAt(disk, 'f/x'), ...callsMaking(disk, 'f/x', 'full/f')]) assert.throws(call, code('ENOTDIR'));
    assert.deepEqual(new Set(disk.list('').names), new Set(['d', 'f', 'full']));
  });

  check('a path cannot lead outside', (disk) => {
    disk.mkdir('d', 0o755);
    write(disk, 'f', '');
    for (const path of ['..', '.', 'd/..', 'd/../f', '../x', 'd//f', '/f', 'd/', './f']) {
      assert.throws(() => disk.stat(path), code('EINVAL'), path);
      for (const call of [...callsAt(disk, path), ...callsMaking(disk, path, 'f')]) assert.throws(call, code('EINVAL'), path);
      assert.throws(() => disk.rename(path, 'x'), code('EINVAL'));
    }
  });
}

function symlinkContract(check: Check): void {
  check('a symlink is itself: read, moved, given other times and a second name, removed', (disk) => {
    disk.symlink('../any where/ä', 'l');
    assert.equal(disk.readlink('l'), '../any where/ä');
    assert.equal(disk.stat('l')?.kind, 'symlink');
    disk.setTimes('l', MTIME_US);
    assert.equal(Math.round((disk.stat('l')?.mtimeMs ?? 0) * 1000), MTIME_US);
    disk.link('l', 'm');
    disk.rename('l', 'n');
    assert.equal(disk.readlink('m'), '../any where/ä');
    assert.equal(disk.readlink('n'), '../any where/ä');
    disk.unlink('n');
    disk.unlink('m');
    assert.deepEqual(disk.list('').names, []);
  });

  check('no call follows one', (disk) => {
    disk.mkdir('d', 0o755);
    write(disk, 'd/f', 'x');
    disk.symlink('d', 'way');
    disk.symlink('d/f', 'l');
    const before = disk.stat('d/f');
    assert.equal(disk.stat('way/f'), null);
    for (const call of [...callsAt(disk, 'way/f'), ...callsMaking(disk, 'way/x', 'd/f')]) assert.throws(call, code('ENOTDIR', 'ELOOP'));
    assert.throws(() => disk.rename('way/f', 'x'), code('ENOTDIR', 'ELOOP'));
    assert.throws(() => disk.list('way'), code('ENOTDIR', 'ELOOP'));
    assert.throws(() => disk.rmdir('way'), code('ENOTDIR', 'ELOOP'));
    assert.throws(() => disk.syncFolder('way'), code('ENOTDIR', 'ELOOP'));
    assert.throws(() => disk.open('l'), code('ELOOP'));
    assert.throws(() => disk.setMode('l', 0o600), code('ELOOP'));
    assert.throws(() => disk.create('l', 0o600), code('EEXIST'));
    assert.throws(() => disk.mkdir('l', 0o755), code('EEXIST'));
    disk.setTimes('l', MTIME_US);
    assert.deepEqual(disk.stat('d/f'), before);
    assert.deepEqual(disk.list('d').names, ['f']);
  });

  check('a folder that was removed and made again a moment ago is the new one', (disk) => {
    disk.mkdir('a', 0o755);
    write(disk, 'a/f', 'x');
    disk.unlink('a/f');
    disk.rmdir('a');
    disk.mkdir('a', 0o755);
    write(disk, 'a/f', 'y');
    assert.equal(readAll(disk, 'a/f'), 'y');
  });

  check('a symlink in the place of a folder used a moment ago is not followed', (disk) => {
    disk.mkdir('a', 0o755);
    write(disk, 'a/f', 'x');
    assert.equal(readAll(disk, 'a/f'), 'x');
    disk.rename('a', 'b');
    disk.symlink('b', 'a');
    assert.equal(disk.stat('a/f'), null);
    assert.throws(() => disk.open('a/f'), code('ENOTDIR', 'ELOOP'));
    assert.throws(() => disk.unlink('a/f'), code('ENOTDIR', 'ELOOP'));
    assert.equal(readAll(disk, 'b/f'), 'x');
  });
}

/** Every call on something that has to be there. */
function callsAt(disk: Disk, path: string): (() => void)[] {
  return [
    () => disk.list(path),
    () => disk.readlink(path),
    () => disk.open(path),
    () => disk.unlink(path),
    () => disk.rmdir(path),
    () => disk.setMode(path, 0o700),
    () => disk.setTimes(path, MTIME_US),
    () => disk.syncFolder(path),
  ];
}

/** Every call that makes a new name. @param from a file that is there */
function callsMaking(disk: Disk, path: string, from: string): (() => void)[] {
  return [
    () => disk.create(path, 0o600),
    () => disk.mkdir(path, 0o755),
    () => disk.symlink('target', path),
    () => disk.link(from, path),
    () => disk.rename(from, path),
  ];
}

function write(disk: Disk, path: string, content: string): void {
  const file = disk.create(path, 0o644);
  file.write(Buffer.from(content), 0);
  file.close();
}

function readAll(disk: Disk, path: string): string {
  const file = disk.open(path);
  const bytes = Buffer.alloc(file.stat().size);
  const length = file.read(bytes, 0);
  file.close();
  return bytes.toString('utf8', 0, length);
}

/** One of these codes. */
function code(...codes: string[]): (error: unknown) => boolean {
  return (error) => {
    const found = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    assert.ok(codes.includes(found), `${found} instead of ${codes.join(' or ')}`);
    return true;
  };
}
