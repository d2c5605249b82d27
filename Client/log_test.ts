import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createLog } from './log.ts';

describe('the log', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'driftless-log-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('touches nothing before there is a line to write', async () => {
    const log = createLog({ file: join(folder, 'quiet', 'client.log'), level: 'warn' });
    log.info({ command: 'ls' }, 'command');
    assert.deepEqual(await readdir(folder), []);
  });

  it('appends JSON lines to a file that only its owner reads, in folders of its own alone', async (t) => {
    const umask = process.umask(0o022);
    t.after(() => process.umask(umask));
    const file = join(folder, 'home', 'logs', 'client.log');
    for (const ms of [1, 2]) createLog({ file, level: 'info' }).info({ command: 'ls', ms }, 'command');
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => {
        const { level, command, ms, msg } = JSON.parse(line);
        return { level, command, ms, msg };
      }),
      [1, 2].map((ms) => ({ level: 30, command: 'ls', ms, msg: 'command' })),
    );
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    for (const made of [join(folder, 'home'), join(folder, 'home', 'logs')]) assert.equal((await stat(made)).mode & 0o777, 0o700, made);
  });

  it('that cannot be written does not fail what is logged', async () => {
    await writeFile(join(folder, 'in-the-way'), '');
    assert.doesNotThrow(() => createLog({ file: join(folder, 'in-the-way', 'client.log'), level: 'info' }).info({}, 'command'));
  });
});
