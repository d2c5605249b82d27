import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openLogFile } from './log_file.ts';

async function place(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-log-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const failures: Error[] = [];
  const open = () => openLogFile({ folder, name: 'auth', bytesMax: 100, onFailure: (error) => failures.push(error) });
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
