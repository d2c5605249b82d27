import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { privateEnvironment, type System, startSystem } from '../processes.ts';

/** Syncing as a person has it: the real program on several devices, against real processes. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const PASSWORD = 'correct horse battery staple';
const WAIT_MS_MAX = 30_000;

let folder: string;
let system: System;
const children = new Set<ChildProcess>();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-cli-sync-'));
  system = await startSystem({ env: await privateEnvironment(folder, process.env), folder });
  await done('one', 'register', 'alice');
  await done('two', 'login', 'alice');
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function start(device: string, words: readonly string[]) {
  const env = {
    PATH: join(folder, 'no programs'), // above all no systemctl: a service of whoever runs this is left alone
    DRIFTLESS_HOME: join(folder, `home-${device}`),
    DRIFTLESS_AUTH: system.auth,
    DRIFTLESS_PASSWORD: PASSWORD,
    XDG_CONFIG_HOME: join(folder, `config-${device}`),
  };
  const child = spawn(process.execPath, [BIN, ...words], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.once('close', () => children.delete(child));
  return child;
}

async function run(device: string, ...words: string[]) {
  const child = start(device, words);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, out, err };
}

async function done(device: string, ...words: string[]): Promise<string> {
  const { code, out, err } = await run(device, ...words);
  assert.equal(code, 0, `${words.join(' ')}: ${out}${err}`);
  return out;
}

const here = (device: string, ...path: string[]): string => join(folder, device, ...path);

async function write(device: string, path: string, content: string): Promise<void> {
  await mkdir(join(here(device, path), '..'), { recursive: true });
  await writeFile(here(device, path), content);
}

async function read(device: string, path: string): Promise<string | null> {
  return readFile(here(device, path), 'utf8').catch(() => null);
}

async function why(device: string, path: string): Promise<string> {
  const { reason, meaning, next } = JSON.parse(await done(device, 'explain', here(device, path), '--json'));
  assert(meaning !== '' && next !== '', reason);
  return reason;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + WAIT_MS_MAX;
  while (!(await holds())) {
    assert(performance.now() < end, `${what} did not come about`);
    await sleep(20);
  }
}

/** A process that stays; `lines` grows as it prints. */
async function stay(device: string, ...words: string[]) {
  const child = start(device, words);
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const ended = once(child, 'close');
  await until(`"${words.join(' ')}"`, async () => {
    assert.equal(child.exitCode, null, said);
    return lines.some((line) => /^keeping |"start"/.test(line));
  });
  return {
    lines,
    async stop(): Promise<number | null> {
      child.kill('SIGINT');
      const [code] = await ended;
      return code as number | null;
    },
  };
}

describe('sync --once', () => {
  it('a dry run tells what would happen, does nothing, and leaves the folder unknown', async () => {
    await write('one', 'Work/a.txt', 'a');
    await write('one', 'Work/sub/b.txt', 'bb');
    const out = await done('one', 'sync', here('one', 'Work'), '--dry-run');
    assert.match(out, /^up {8}a\.txt {2}1 B$/m);
    assert.match(out, /^up {8}sub\/b\.txt {2}2 B$/m);
    assert.match(out, /^3 up \(3 B\), 0 down \(0 B\), 0 moves, 0 deletes, 0 conflicts$/m);
    const told = JSON.parse(await done('one', 'sync', here('one', 'Work'), '--dry-run', '--json'));
    assert.deepEqual([told.totals.up, told.totals.bytesUp, told.actions.length], [3, 3, 3]);
    assert.equal((await run('one', 'status')).code, 4);
    assert.equal((await run('one', 'ls', '/Work')).code, 4);
    assert.deepEqual((await readdir(here('one', 'Work'))).sort(), ['a.txt', 'sub']);
  });

  it('a dry run of what is neither here nor there makes it in neither place', async () => {
    assert.match(await done('one', 'sync', here('one', 'Nowhere'), '/nowhere', '--dry-run'), /^nothing to do/m);
    assert.equal((await run('one', 'ls', '/nowhere')).code, 4);
    await assert.rejects(readdir(here('one', 'Nowhere')), { code: 'ENOENT' });
  });

  it('the first time says what will happen, and then both sides are the same', async () => {
    const first = await run('one', 'sync', here('one', 'Work'), '--once');
    assert.equal(first.code, 0, first.err);
    assert.match(first.err, /^first sync of .*Work with \/Work: 3 up \(3 B\), 0 down/);
    assert.match(first.out, /Work: 2 files sent \(3 B\)$/m);
    assert.match(await done('one', 'sync', here('one', 'Work'), '--once'), /nothing to do/);
    assert.match(await done('two', 'sync', here('two', 'Work'), '/Work', '--once'), /2 files fetched \(3 B\)/);
    assert.equal(await read('two', 'Work/sub/b.txt'), 'bb');
  });

  it('status says that nothing runs, explain says of each entry why', async () => {
    await write('one', 'Work/.driftlessignore', '# ours\n*.log\n');
    await write('one', 'Work/x.log', 'x');
    await write('one', 'Work/new.txt', 'n');
    await done('one', 'sync', here('one', 'Work'), '--once', '--exclude', '*.iso');
    await write('one', 'Work/x.iso', 'x');
    const [status] = JSON.parse(await done('one', 'status', '--json'));
    assert.deepEqual([status.state, status.files, status.waiting, status.conflicts], ['stopped', 4, 0, 0]);
    assert.match(await done('one', 'status'), /Work <-> \/Work: not running\n {2}4 files in sync$/m);
    assert.equal(await why('one', 'Work/new.txt'), 'in_sync');
    assert.equal(await why('one', 'Work/x.log'), 'ignored');
    assert.equal(await why('one', 'Work/x.iso'), 'excluded');
    assert.match(await done('one', 'status', here('one', 'Work/new.txt')), /^ {2}\/Work\/new\.txt: version \d+ is on 1 store/m);
    await done('one', 'mv', '/Work', '/elsewhere');
    assert.match(await done('one', 'status', here('one', 'Work/new.txt')), /^ {2}\/elsewhere\/new\.txt: version \d+ is on 1 store/m);
    await done('one', 'mv', '/elsewhere', '/Work');
    await write('one', 'Work/newest', 'x');
    assert.match(await done('one', 'status', here('one', 'Work/newest')), /where it is, is not known: it is not on the server/);
    assert.equal(await why('one', 'Work/newest'), 'waiting_turn');
    assert.match(await done('one', 'explain', here('one', 'Work/x.log')), /line 2 of \.driftlessignore: "\*\.log"/);
    assert.equal((await run('one', 'explain', here('one', 'Work/never'))).code, 4);
    assert.equal((await run('one', 'explain', here('one', 'Elsewhere'))).code, 4);
    await done('one', 'sync', here('one', 'Work'), '--once', '--include', '*.iso');
    assert.equal(await why('one', 'Work/x.iso'), 'in_sync');
  });

  it('a conflict ends with 5 until it is decided, and both versions are kept', async () => {
    await done('two', 'sync', here('two', 'Work'), '--once');
    await write('one', 'Work/a.txt', 'from one');
    await write('two', 'Work/a.txt', 'from two');
    await done('one', 'sync', here('one', 'Work'), '--once');
    const second = await run('two', 'sync', here('two', 'Work'), '--once');
    assert.equal(second.code, 5, second.out + second.err);
    assert.equal(await read('two', 'Work/a.txt'), 'from one');
    const [conflict] = JSON.parse(await done('two', 'conflicts', '--json'));
    assert.equal(conflict.path, 'a.txt');
    assert.match(conflict.copy, /^a \(conflict from .* [0-9a-f]{6}\)\.txt$/);
    assert.equal(await read('two', join('Work', conflict.copy)), 'from two');
    assert.deepEqual([await why('two', 'Work/a.txt'), await why('two', join('Work', conflict.copy))], ['in_conflict', 'in_conflict']);
    assert.match(await done('two', 'conflicts'), /Work\/a\.txt {2}theirs; mine is "a \(conflict/);
    assert.match(await done('two', 'conflicts', here('two', 'Work/a.txt'), '--keep', 'mine'), /mine is kept/);
    assert.equal(await read('two', 'Work/a.txt'), 'from two');
    await done('two', 'sync', here('two', 'Work'), '--once');
    await done('one', 'sync', here('one', 'Work'), '--once');
    assert.equal(await read('one', 'Work/a.txt'), 'from two');
    assert.equal(await read('one', join('Work', conflict.copy)), null);
    assert.equal(await done('two', 'conflicts'), 'no conflicts\n');
  });

  it('many deletes wait until they are approved', async () => {
    for (let n = 0; n < 150; n += 1) await write('one', `Many/${n}`, String(n));
    await done('one', 'sync', here('one', 'Many'), '--once');
    for (let n = 0; n < 140; n += 1) await rm(here('one', `Many/${n}`));
    const held = await run('one', 'sync', here('one', 'Many'), '--once');
    assert.equal(held.code, 1);
    assert.match(held.err, /140 entries of 150 would be deleted at once.*driftless approve/);
    assert.equal((await run('one', 'cat', '/Many/0')).code, 0);
    assert.match(await done('one', 'approve', here('one', 'Many')), /approved/);
    assert.equal((await run('one', 'cat', '/Many/0')).code, 4);
    assert.equal((await run('one', 'cat', '/Many/149')).code, 0);
  });

  it('what cannot be synced stays as it is, holds up nothing else, and is explained', async () => {
    await write('one', 'Odd/ok', 'x');
    await write('one', 'Odd/Name', '1');
    await write('one', 'Odd/NAME', '2');
    await write('one', 'Odd/line\nbreak', 'x');
    await using socket = createServer().listen(here('one', 'Odd/socket'));
    await once(socket, 'listening');
    const { code, err } = await run('one', 'sync', here('one', 'Odd'), '--once');
    assert.equal(code, 1);
    assert.match(err, /^line\\x0abreak: .*\(name_not_there\)$/m);
    assert.equal(await done('one', 'cat', '/Odd/ok'), 'x');
    assert.equal(await why('one', 'Odd/line\nbreak'), 'name_not_there');
    assert.equal(await why('one', 'Odd/socket'), 'special_file');
    const names = [await why('one', 'Odd/Name'), await why('one', 'Odd/NAME')];
    assert.deepEqual(names.sort(), ['in_sync', 'name_collides']);
    assert.deepEqual((await readdir(here('one', 'Odd'))).filter((name) => /name/i.test(name)).sort(), ['NAME', 'Name']);
  });

  it('folders that overlap are refused, and one that is known keeps its remote folder', async () => {
    assert.equal((await run('one', 'sync', here('one', 'Work', 'sub'), '--once')).code, 2);
    assert.equal((await run('one', 'sync', here('one'), '--once')).code, 2);
    assert.equal((await run('one', 'sync', here('one', 'Work'), '/elsewhere', '--once')).code, 2);
    assert.equal((await run('one', 'sync', here('one', 'Work'), '--limit-up', 'fast')).code, 2);
  });
});

describe('sync that stays', () => {
  it('carries what happens on one device to the other, and says it', async () => {
    await using stack = new AsyncDisposableStack();
    const one = await stay('one', 'sync', here('one', 'Work'));
    const two = await stay('two', 'sync', here('two', 'Work'), '--json');
    stack.defer(async () => void (await Promise.all([one.stop(), two.stop()])));
    await write('one', 'Work/live.txt', 'hello');
    await until('the new file on the other device', async () => (await read('two', 'Work/live.txt')) === 'hello');
    await until('a line about it', async () => one.lines.includes('sent live.txt'));
    await until('the other line', async () => two.lines.some((line) => JSON.parse(line).path === 'live.txt'));
    await rm(here('two', 'Work/live.txt'));
    await until('the delete', async () => (await read('one', 'Work/live.txt')) === null);
    assert.match(
      await done('one', 'status', here('one', 'Work')),
      /: (in sync|working)\n {2}\d+ files in sync.*watching \d+ of \d+ folders/,
    );
  });

  it('answers while it runs: status, explain, a dry run, limits, pause and resume; and ends in order', async () => {
    const one = await stay('one', 'sync', here('one', 'Work'));
    const again = await run('one', 'sync', here('one', 'Work'), '--once');
    assert.deepEqual([again.code, /another process syncs .*data_folder_locked/.test(again.err)], [1, true]);
    assert.match(await done('one', 'sync', here('one', 'Work'), '--dry-run'), /0 up/);
    assert.match(await done('one', 'sync', here('one', 'Work'), '--limit-up', '5M'), /new limits/);
    const work = async () => JSON.parse(await done('one', 'status', here('one', 'Work'), '--json'))[0];
    assert.equal((await work()).limitUp, 5_000_000);
    assert.match(await done('one', 'explain', here('one', 'Work/x.log')), /excluded \(ignored\)/);
    await done('one', 'pause', here('one', 'Work'));
    await until('the pause', async () => (await work()).state === 'paused');
    await write('one', 'Work/while paused.txt', 'x');
    assert.equal(await why('one', 'Work/while paused.txt'), 'paused');
    assert.equal((await run('one', 'cat', '/Work/while paused.txt')).code, 4);
    await done('one', 'resume', here('one', 'Work'));
    await until('what waited', async () => (await run('one', 'cat', '/Work/while paused.txt')).code === 0);
    assert.equal(await one.stop(), 0);
    assert.deepEqual(
      (await readdir(join(folder, 'home-one', 'sync'))).filter((name) => name.endsWith('.sock')),
      [],
    );
  });

  it('without a folder syncs all there are, each as it was', async () => {
    const one = await stay('one', 'sync');
    await write('one', 'Many/all', 'x');
    await write('one', 'Work/all', 'x');
    await until('both', async () => (await run('one', 'cat', '/Many/all')).code === 0 && (await run('one', 'cat', '/Work/all')).code === 0);
    assert.equal(one.lines.filter((line) => line.startsWith('keeping ')).length, 3);
    assert.equal(await one.stop(), 0);
  });
});

describe('what holds a folder up', () => {
  const stateOf = async (path: string) => JSON.parse(await done('one', 'status', here('one', path), '--json'))[0].state;

  it('a guard: many deletes, or a folder that was emptied', async () => {
    for (let n = 0; n < 150; n += 1) await write('one', `Held/sub/${n}`, String(n));
    await write('one', 'Held/other', 'x');
    await done('one', 'sync', here('one', 'Held'), '--once');
    const one = await stay('one', 'sync', here('one', 'Held'));
    await rm(here('one', 'Held/sub'), { recursive: true });
    await until('the guard', async () => (await stateOf('Held')) === 'held');
    assert.equal(await why('one', 'Held/sub/1'), 'held_deletes');
    assert.equal(await why('one', 'Held/other'), 'in_sync');
    assert.equal(await one.stop(), 0);
    await rm(here('one', 'Held/other'));
    const emptied = await run('one', 'sync', here('one', 'Held'), '--once');
    assert.equal(emptied.code, 1);
    assert.match(emptied.err, /The synced folder is missing, was emptied.*\(it is empty\).*nothing is done/);
    assert.equal(await why('one', 'Held/other'), 'held_root'); // also when nothing runs
    assert.equal(await done('one', 'cat', '/Held/other'), 'x');
    const two = await stay('one', 'sync', here('one', 'Held'));
    await until('the guard', async () => (await stateOf('Held')) === 'held');
    assert.equal(await why('one', 'Held/other'), 'held_root');
    assert.equal(await two.stop(), 0);
  });

  it('no server: it is said, nothing is lost, and it goes on by itself', async () => {
    const one = await stay('one', 'sync', here('one', 'Work'));
    await system.running.server.stop();
    await write('one', 'Work/offline.txt', 'x');
    await until('offline', async () => (await stateOf('Work')) === 'offline');
    await until('its reason', async () => (await why('one', 'Work/offline.txt')) === 'offline'); // not while it tries again
    await system.restart('server');
    await until('what waited', async () => (await run('one', 'cat', '/Work/offline.txt')).code === 0);
    await until(
      'a line about it',
      async () => one.lines.some((line) => line.startsWith('offline')) && one.lines.includes('sent offline.txt'),
    );
    assert.equal(await one.stop(), 0);
  });
});

describe('service', () => {
  it('install writes a unit that holds no secret, and remove takes it away', async () => {
    const out = await done('one', 'service', 'install');
    const unit = join(folder, 'config-one', 'systemd', 'user', 'driftless.service');
    assert.match(out, /^wrote .*driftless\.service\nleft to you:\n {2}systemctl --user daemon-reload && /);
    const written = await readFile(unit, 'utf8');
    assert.ok(written.includes(`DRIFTLESS_HOME=${join(folder, 'home-one')}`));
    assert.doesNotMatch(written, /correct horse|PASSWORD/);
    await done('one', 'service', 'remove');
    await assert.rejects(stat(unit), { code: 'ENOENT' });
  });
});
