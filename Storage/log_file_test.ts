import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { openLogFile } from './log_file.ts';

async function place(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-log-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const failures: Error[] = [];
  const open = (bytesMax = 100) => openLogFile({ folder, name: 'auth', bytesMax, onFailure: (error) => failures.push(error) });
  return { folder, failures, open, read: (name: string) => readFile(join(folder, name), 'utf8') };
}

const line = (n: number): string => `${String(n).padStart(8, 'ä')}\n`; // 14 to 16 bytes

test('a log goes on in a new file before it is too long, also one from before, and the one before that goes', async (t) => {
  const { folder, failures, open, read } = await place(t);
  const lines = Array.from({ length: 40 }, (_, n) => line(n));
  for (const each of [lines.slice(0, 4), lines.slice(4, 9), lines.slice(9)]) {
    const log = open(); // as a process that is started again
    for (const one of each) log.write(one);
  }
  assert.deepEqual((await readdir(folder)).sort(), ['auth.1.log', 'auth.log']);
  const [before, now] = [await read('auth.1.log'), await read('auth.log')];
  assert.ok(lines.join('').endsWith(before + now));
  assert.ok(Buffer.byteLength(before) > 80);
  for (const name of ['auth.1.log', 'auth.log']) {
    const { size, mode } = await stat(join(folder, name));
    assert.ok(size <= 100, `${name} has ${size} bytes`);
    assert.equal(mode & 0o777, 0o600);
  }
  assert.deepEqual(failures, []);
});

test('where no new file can be begun the old one goes on, and that is told once', async (t) => {
  const { folder, failures, open, read } = await place(t);
  await mkdir(join(folder, 'auth.1.log', 'in the way'), { recursive: true });
  const log = open();
  const lines = Array.from({ length: 40 }, (_, n) => line(n));
  for (const one of lines) log.write(one);
  assert.equal(await read('auth.log'), lines.join(''));
  assert.equal(failures.length, 1);
});

test('a file that somebody moved away is begun again, and goes on in a new one as before', async (t) => {
  const { folder, failures, open, read } = await place(t);
  const log = open();
  log.write(line(1));
  await rename(join(folder, 'auth.log'), join(folder, 'auth.1.log')); // also what is left where no new file could be opened
  log.write(line(2));
  assert.deepEqual([await read('auth.1.log'), await read('auth.log')], [line(1), line(2)]);
  const lines = Array.from({ length: 40 }, (_, n) => line(n));
  for (const one of lines) log.write(one);
  const [before, now] = [await read('auth.1.log'), await read('auth.log')];
  assert.ok(lines.join('').endsWith(before + now));
  assert.ok(Buffer.byteLength(before) <= 100 && Buffer.byteLength(now) <= 100);
  assert.deepEqual(failures, []);
});

test('what a full disk does not take comes first once it does, whole lines and so many only', async (t) => {
  const { folder, failures, open, read } = await place(t);
  await symlink('/dev/full', join(folder, 'auth.log'));
  const log = open(LIMITS.logBytesMax);
  const lines = Array.from({ length: 400 }, (_, n) => `${n} ${'x'.repeat(1000)}\n`);
  for (const one of lines) log.write(one);
  assert.equal(failures.length, 1);
  await rm(join(folder, 'auth.log')); // there is room again
  log.write('dropped\n');
  log.write('last\n');
  const written = await read('auth.log');
  assert.ok(written.endsWith('\nlast\n') && !written.includes('dropped'));
  const kept = written.slice(0, -'last\n'.length);
  assert.ok(lines.join('').startsWith(kept));
  const bytes = Buffer.byteLength(kept);
  assert.ok(bytes >= LIMITS.logBytesUnwritten && bytes < LIMITS.logBytesUnwritten + 1010, `${bytes} bytes`);
});

test('what could not be written is in the file that is begun next', async (t) => {
  const { folder, open, read } = await place(t);
  await symlink('/dev/full', join(folder, 'auth.log'));
  const log = open();
  const lines = Array.from({ length: 7 }, (_, n) => line(n)); // the last is over the bound
  for (const one of lines) log.write(one);
  assert.equal(await read('auth.log'), lines.join(''));
});

test('processes with one folder write to one file, whoever begins it, and take no line from each other', async (t) => {
  const { failures, open, read } = await place(t);
  const [busy, quiet] = [open(), open()];
  const lines = Array.from({ length: 40 }, (_, n) => line(n));
  for (const [n, one] of lines.entries()) (n % 13 === 0 ? quiet : busy).write(one);
  const [before, now] = [await read('auth.1.log'), await read('auth.log')];
  assert.ok(lines.join('').endsWith(before + now));
  assert.ok(Buffer.byteLength(before) > 80 && Buffer.byteLength(before) <= 100 && Buffer.byteLength(now) <= 100);
  assert.deepEqual(failures, []);
});
