import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeInvite } from '../Client/testing/auth_client.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';

/** The command line as its users have it: the real program against real processes. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const TERMINAL_MAKER = 'script'; // of util-linux
const PASSWORD = 'correct horse battery staple';

let folder: string;
let system: System;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-cli-system-'));
  system = await startSystem({ env: await privateEnvironment(folder, process.env), folder });
  await Promise.all(['alice', 'bob'].map((name) => done(name, 'register', name)));
});
after(async () => {
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function start(user: string, words: readonly string[], more: Record<string, string> = {}) {
  const env = { DRIFTLESS_HOME: join(folder, `home-${user}`), DRIFTLESS_AUTH: system.auth, DRIFTLESS_PASSWORD: PASSWORD, ...more };
  return spawn(process.execPath, [BIN, ...words], { cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'] });
}

const FIRST_CONTACT = /^first contact with (\S+), key (SHA256:[A-Za-z0-9+/]{43})\n/;

async function run(user: string, words: readonly string[], input = '', more: Record<string, string> = {}) {
  const child = start(user, words, more);
  child.stdin.end(input);
  const [bytes, said, [code]] = await Promise.all([buffer(child.stdout), text(child.stderr), once(child, 'close')]);
  return {
    code: code as number | null,
    bytes,
    out: bytes.toString(),
    err: said.replace(FIRST_CONTACT, ''),
    firstContact: FIRST_CONTACT.exec(said),
  };
}

async function done(user: string, ...words: string[]): Promise<string> {
  const { code, out, err } = await run(user, words);
  assert.deepEqual([code, err], [0, ''], words.join(' '));
  return out;
}

async function json<T>(user: string, ...words: string[]): Promise<T> {
  return JSON.parse(await done(user, ...words, '--json')) as T;
}

async function fails(user: string, words: string[], code: number, error: string): Promise<void> {
  const result = await run(user, words);
  assert.deepEqual([result.code, result.out], [code, ''], result.err);
  assert.match(result.err, new RegExp(`^driftless: .*\\(${error}\\)\\n$`));
}

async function local(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

type Listed = { path: string; kind: string; size: number; mtime: string; version: number; digest: string | null };

describe('the account', () => {
  it('is whoever logged in, and the ticket works with any HTTP client', async () => {
    const me = await json<{ user: string; server: string; device: string }>('alice', 'whoami');
    assert.deepEqual([me.user, me.server], ['alice', system.httpUrl]);
    const ticket = (await done('alice', 'ticket')).trim();
    const answer = await fetch(`${system.httpUrl}/v1/whoami`, { headers: { authorization: `Bearer ${ticket}` } });
    assert.equal(((await answer.json()) as { user: string }).user, 'alice');
  });

  it('shows the daemon’s key once, before anything is known of it, as the daemon’s log does', async () => {
    const { firstContact } = await run('gina', ['register', 'gina']);
    assert.equal(firstContact?.[1], system.auth);
    assert.ok((await readFile(join(folder, 'logs', 'auth.log'), 'utf8')).includes(`"key":"${firstContact?.[2]}"`));
    assert.equal((await run('gina', ['login', 'gina'])).firstContact, null);
  });

  it('cannot be entered with another password, nor made twice', async () => {
    await fails('carol', ['login', 'alice2'], 3, 'credentials_wrong');
    await fails('carol', ['register', 'alice'], 5, 'name_taken');
    await fails('carol', ['ls'], 3, 'not_logged_in');
  });

  it('is left by logout', async () => {
    await done('dave', 'register', 'dave');
    await done('dave', 'ls');
    await done('dave', 'logout');
    await fails('dave', ['ls'], 3, 'not_logged_in');
    await done('dave', 'login', 'dave');
    await done('dave', 'ls');
  });

  it('gets another password, which is then the only one', async () => {
    await done('heidi', 'register', 'heidi');
    const next = { DRIFTLESS_NEW_PASSWORD: `${PASSWORD} too` };
    assert.match((await run('heidi', ['passwd'], '', next)).out, /^password changed; your other devices are logged out\n$/);
    await fails('heidi2', ['login', 'heidi'], 3, 'credentials_wrong');
    assert.equal((await run('heidi2', ['login', 'heidi'], '', { DRIFTLESS_PASSWORD: `${PASSWORD} too` })).code, 0);
  });

  it('is made with an invitation code, or not, for what the code says', async () => {
    const code = (key: string): string => makeInvite({ auth: system.auth, key, secret: randomBytes(16) });
    const [, key = ''] = /"key":"([^"]+)"/.exec(await readFile(join(folder, 'logs', 'auth.log'), 'utf8')) ?? [];
    await fails('ivan', ['register', 'ivan', '--invite', code(key)], 3, 'invite_invalid');
    await fails('ivan', ['register', 'ivan', '--invite', code(`SHA256:${'A'.repeat(43)}`)], 3, 'server_key_changed');
    assert.equal((await run('ivan', ['register', 'ivan', '--key', key])).code, 0);
  });

  it('leaves a log without secrets, and a profile that only its owner reads', async () => {
    const home = join(folder, 'home-alice');
    const log = await readFile(join(home, 'logs', 'client.log'), 'utf8');
    const [first] = log.split('\n');
    const { command, outcome, ms } = JSON.parse(first ?? '');
    assert.deepEqual([command, outcome, typeof ms], ['register', 'done', 'number']);
    assert.doesNotMatch(log, /correct horse|eyJ/);
    assert.equal((await stat(join(home, 'profile.json'))).mode & 0o077, 0);
  });
});

describe('files', () => {
  it('go up, are listed, and come back the same', async () => {
    const content = Buffer.from(Array.from({ length: 3000 }, (_, n) => n % 256));
    const file = await local('q3.bin', content);
    await done('alice', 'mkdir', '/reports');
    await done('alice', 'put', file, '/reports/');
    const [entry, ...more] = await json<Listed[]>('alice', 'ls', '/reports');
    assert(entry !== undefined && more.length === 0);
    assert.deepEqual(Object.keys(entry), ['path', 'kind', 'size', 'mtime', 'version', 'digest']);
    assert.deepEqual([entry.path, entry.kind, entry.size], ['/reports/q3.bin', 'file', 3000]);
    assert.match(entry.digest ?? '', /^[0-9a-f]{64}$/);

    assert.deepEqual((await run('alice', ['cat', '/reports/q3.bin'])).bytes, content);
    assert.deepEqual((await run('alice', ['preview', '/reports/q3.bin'])).bytes, content.subarray(0, 1024));
    await mkdir(join(folder, 'back'));
    await done('alice', 'get', '/reports/q3.bin', join(folder, 'back'));
    assert.deepEqual(await readFile(join(folder, 'back', 'q3.bin')), content);
    await done('alice', 'get', '/reports/q3.bin', join(folder, 'back', 'other.bin'));
    assert.deepEqual(await readFile(join(folder, 'back', 'other.bin')), content);
  });

  it('go into a folder that is there, also without a slash at the end', async () => {
    const file = await local('into.txt', 'into');
    await done('alice', 'mkdir', '/inbox');
    await done('alice', 'put', file, '/inbox');
    assert.equal(await done('alice', 'cat', '/inbox/into.txt'), 'into');
  });

  it('of a folder go up and down, and are skipped when they are the same', async () => {
    for (const name of ['a.txt', 'b/c.txt', 'b/ü.txt']) await local(`tree/${name}`, name);
    const sent = await json<{ files: number; unchanged: number }>('alice', 'put', join(folder, 'tree'), '/tree');
    assert.equal(sent.files, 3);
    const again = await json<{ files: number; unchanged: number }>('alice', 'put', join(folder, 'tree'), '/tree/');
    assert.deepEqual([again.files, again.unchanged], [0, 3]);
    await done('alice', 'get', '/tree', join(folder, 'tree-back'));
    for (const name of ['a.txt', 'b/c.txt', 'b/ü.txt']) assert.equal(await readFile(join(folder, 'tree-back', name), 'utf8'), name);
    assert.match(await done('alice', 'get', '/tree', join(folder, 'tree-back')), /^0 files fetched, 0 B, 3 unchanged, in /);
  });

  it('that cannot be sent are named, the others are sent: exit 1', async () => {
    await local('some/good.txt', 'good');
    const { code, err } = await run('alice', ['put', join(folder, 'some/good.txt'), join(folder, 'missing.txt'), '/some']);
    assert.equal(code, 1);
    assert.match(err, /^driftless: .*missing\.txt: .*\(\w+\)\n$/);
    assert.equal(await done('alice', 'cat', '/some/good.txt'), 'good');
  });

  it('are moved, copied, found and deleted', async () => {
    const file = await local('move.txt', 'move');
    await done('alice', 'put', file, '/moves/draft.txt');
    await done('alice', 'mv', '/moves/draft.txt', '/moves/final.txt');
    await done('alice', 'cp', '/moves/final.txt', '/moves/copy.txt');
    assert.match(await done('alice', 'ls', '/', '--search', 'FINAL'), / \/moves\/final\.txt\n$/);
    assert.match(await done('alice', 'search', 'FINAL'), / \/moves\/final\.txt\n$/);
    assert.deepEqual(await json('alice', 'search', 'final', '--kind', 'image', '--since', '1d', '--larger', '1'), []);
    await done('alice', 'rm', '/moves/final.txt');
    assert.deepEqual(
      (await json<Listed[]>('alice', 'ls', '/moves')).map((entry) => entry.path),
      ['/moves/copy.txt'],
    );
  });

  it('are listed a page at a time, and counted', async () => {
    const file = await local('page.txt', 'page');
    for (const name of ['a', 'b', 'c']) await done('alice', 'put', file, `/pages/${name}`);
    const first = await done('alice', 'ls', '/pages', '--limit', '2');
    const [, mark = ''] = /there is more: --page (\S+)\n$/.exec(first) ?? [];
    assert.match(first, / a\n.* b\n/);
    assert.match(await done('alice', 'ls', '/pages', '--limit', '2', '--page', mark), /^ .* c\n$/);
    const page = await json<{ entries: Listed[]; next: string }>('alice', 'ls', '/pages', '--limit', '2');
    assert.deepEqual([page.entries.map((entry) => entry.path), page.next], [['/pages/a', '/pages/b'], mark]);
    await fails('alice', ['ls', '/pages', '--limit', 'all'], 2, 'request_invalid');
    await fails('alice', ['ls', '/pages', '--page', 'elsewhere'], 2, 'cursor_invalid');
    assert.match(await done('alice', 'stats', '/pages'), /^3 files in 0 folders: 12 B\n {2}other .* 12 B {2}3 files\n3 changes since /);
    await fails('alice', ['stats', '/nothing'], 4, 'not_found');
  });

  it('leave a trail of changes that can be followed from a cursor', async () => {
    const all = await json<{ cursor: string; path: string; kind: string }[]>('alice', 'changes');
    assert(all.some((change) => change.kind === 'put' && change.path === '/reports/q3.bin'));
    const last = all.at(-1)?.cursor ?? '';
    assert.deepEqual(await json('alice', 'changes', '--after', last), []);
    await done('alice', 'mkdir', '/later');
    assert.deepEqual(
      (await json<{ path: string }[]>('alice', 'changes', '--after', last)).map((change) => change.path),
      ['/later'],
    );
  });

  it('and what is wrong about them has an exit code', async () => {
    await fails('alice', ['cat', '/nothing'], 4, 'not_found');
    await fails('alice', ['get', '/nothing', join(folder, 'nothing')], 4, 'not_found');
    await fails('alice', ['rm', 'relative'], 2, 'path_invalid');
    await done('alice', 'mkdir', '/wrong');
    await fails('alice', ['mkdir', '/wrong'], 5, 'already_exists');
    await fails('alice', ['mv', '/wrong', '/wrong/below'], 5, 'folder_into_itself');
    await fails('alice', ['changes', '--after', 'nonsense'], 2, 'cursor_invalid');
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('nothing')),
      [],
    );
  });
});

describe('sharing', () => {
  it('is an invitation that the other accepts', async () => {
    await done('alice', 'mkdir', '/shared');
    await done('alice', 'put', await local('hello.txt', 'hello bob'), '/shared/hello.txt');
    const { id } = await json<{ id: string }>('alice', 'invite', '/shared', 'bob', '--role', 'viewer', '-m', 'for you');
    assert.match(
      await done('bob', 'invitations'),
      new RegExp(`^${id} .* shared as viewer from alice \\(pending until [^)]*\\): for you\\n$`),
    );
    await fails('alice', ['accept', id], 4, 'not_found');
    const { path } = await json<{ path: string }>('bob', 'accept', id);
    assert.equal(await done('bob', 'cat', `${path}/hello.txt`), 'hello bob');
    await fails('bob', ['rm', `${path}/hello.txt`], 3, 'forbidden');
    await done('bob', 'profile', '--name', 'Bob "the" Builder');
    assert.equal(await done('alice', 'members', '/shared'), 'owner   alice\nviewer  bob  "Bob \\"the\\" Builder"\n');
    assert.equal(await done('alice', 'role', '/shared', 'bob', 'editor'), 'bob is editor of /shared now\n');
    await done('bob', 'mkdir', `${path}/from bob`);
    await done('bob', 'leave', path);
    await fails('bob', ['cat', `${path}/hello.txt`], 4, 'not_found');
  });

  it('can be accepted at a path, and is taken back by uninvite', async () => {
    await done('alice', 'mkdir', '/elsewhere');
    const { id } = await json<{ id: string }>('alice', 'invite', '/elsewhere', 'bob', '--expires', '7d');
    await fails('bob', ['accept', id, '--at', '/no such/place'], 4, 'not_found');
    assert.equal(await done('bob', 'accept', id, '--at', '/mine'), 'accepted: the folder is at /mine\n');
    await done('alice', 'uninvite', '/elsewhere', 'bob');
    await fails('bob', ['ls', '/mine'], 4, 'not_found');
    await fails('alice', ['role', '/elsewhere', 'bob', 'viewer'], 4, 'user_unknown');
    await fails('alice', ['role', '/elsewhere', 'bob', 'king'], 2, 'request_invalid');
    await fails('alice', ['invite', '/elsewhere', 'bob', '--expires', 'soon'], 2, 'request_invalid');
  });

  it('can be declined, and not with everybody', async () => {
    await done('alice', 'mkdir', '/private');
    const { id } = await json<{ id: string }>('alice', 'invite', '/private', 'bob', '--role', 'editor');
    await done('bob', 'decline', id);
    await fails('bob', ['accept', id], 5, 'invitation_invalid');
    await fails('alice', ['invite', '/private', 'nobody-at-all'], 4, 'user_unknown');
    await fails('bob', ['ls', '/private'], 4, 'not_found');
  });
});

describe('the shell', () => {
  it('runs several commands with one session', async () => {
    const { code, out, err } = await run(
      'alice',
      ['shell'],
      `mkdir "/from the shell"\nlist / --json\ncat /nothing\ndelete '/from the shell'\nquit\n`,
    );
    assert.equal(code, 4);
    assert.match(out, /^made \/from the shell\n\[/);
    assert.match(out, /\]\ndeleted \/from the shell\n$/);
    assert.match(err, /^driftless: .*\(not_found\)\n$/);
  });
});

/** Types `answers[n]` once `[n]` was shown, on a terminal that util-linux's `script` makes. @returns exit code and all that was shown */
async function onTerminal(user: string, words: readonly string[], answers: readonly [string, string][]) {
  const env = {
    PATH: process.env.PATH,
    DRIFTLESS_HOME: join(folder, `home-${user}`),
    DRIFTLESS_AUTH: system.auth,
    TERM: 'xterm',
    SHELL: '/bin/sh',
  };
  const command = `stty cols 100 rows 24; exec '${process.execPath}' '${BIN}' ${words.join(' ')}`;
  const child = spawn(TERMINAL_MAKER, ['-qec', command, '/dev/null'], { cwd: folder, env, stdio: ['pipe', 'pipe', 'inherit'] });
  let shown = '';
  let seen = 0;
  const left = [...answers];
  child.stdout.on('data', (bytes: Buffer) => {
    shown += bytes.toString();
    const [prompt, answer] = left[0] ?? [];
    if (prompt === undefined || !shown.slice(seen).includes(prompt)) return;
    left.shift();
    seen = shown.length;
    child.stdin.write(answer ?? '');
  });
  const [code] = await once(child, 'close');
  return { code: code as number, shown };
}

const hasTerminals = spawnSync(TERMINAL_MAKER, ['--version']).status === 0;

describe('on a terminal', { skip: hasTerminals ? false : 'no `script` here to make one' }, () => {
  it('the password is asked for twice and never shown', async () => {
    const { code, shown } = await onTerminal(
      'erin',
      ['register', 'erin'],
      [
        ['Password for erin', 'open sesame 42\r'],
        ['The same again', 'open sesame 42\r'],
      ],
    );
    assert.equal(code, 0, shown);
    assert.match(shown, /registered and logged in as erin/);
    assert.doesNotMatch(shown, /sesame|open s/);
  });

  it('two passwords that differ change nothing, and Ctrl-C leaves', async () => {
    const differing: [string, string][] = [
      ['Password for frank', 'open sesame 42\r'],
      ['The same again', 'open sesame 43\r'],
    ];
    assert.equal((await onTerminal('frank', ['register', 'frank'], differing)).code, 2);
    assert.equal((await onTerminal('frank', ['login', 'alice'], [['Password for alice', 'abc\u0003']])).code, 130);
  });

  it('the shell prompts, takes Ctrl-C for a slip, and ends with Ctrl-D', async () => {
    const { code, shown } = await onTerminal(
      'alice',
      ['shell'],
      [
        ['driftless> ', 'ls /nowhere\r'],
        ['driftless> ', '\u0003'],
        ['driftless> ', 'whoami\r'],
        ['driftless> ', '\u0004'],
      ],
    );
    assert.equal(code, 0, shown);
    assert.match(shown, /\(not_found\)[\s\S]*quit, or Ctrl-D[\s\S]*user {5}alice/);
  });

  it('a transfer draws its progress and takes it away', async () => {
    for (let n = 0; n < 300; n += 1) await local(`drawn/${n}`, randomBytes(50_000));
    const { code, shown } = await onTerminal('alice', ['put', 'drawn', '/drawn'], []);
    assert.equal(code, 0, shown);
    const drawn = shown.split('\r\u001b[K');
    assert(drawn.length > 2 && drawn.slice(1, -1).every((line) => / files? .*B\/s/.test(line)), shown);
    assert.match(drawn.at(-1) ?? '', /^300 files sent, 15\.0 MB/);
  });
});

describe('an interrupt', () => {
  it('during a transfer leaves nothing under the name of the file, exits 130, and the next go finishes it', async () => {
    const big = await local('big.bin', randomBytes(64 * 1024 * 1024));
    await done('alice', 'put', big, '/big.bin');
    const target = join(folder, 'interrupted');
    await mkdir(target);
    const child = start('alice', ['get', '/big.bin', join(target, 'big.bin')]);
    const closed = once(child, 'close');
    while ((await readdir(target)).length === 0 && child.exitCode === null) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGINT');
    const [code] = await closed;
    const left = await readdir(target);
    assert.equal(left.includes('big.bin'), code === 0); // 0: it was faster than the signal
    assert(code === 0 || code === 130);
    await done('alice', 'get', '/big.bin', target);
    assert.deepEqual(await readdir(target), ['big.bin']);
    assert((await readFile(join(target, 'big.bin'))).equals(await readFile(big)));
  });
});
