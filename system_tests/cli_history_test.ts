import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Plan, RestDeed, RestTrashItem, RestVersion } from '../Client/client.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';

/** The past on the command line: the real program, run by its shell, against real processes. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const TERMINAL_MAKER = 'script'; // of util-linux
/** A name that turns the direction of writing, and a text that clears a terminal and gives its window a title. */
const NAME = 'invoice\u202efdp.exe';
const TEXT = 'a\u001b[2Jb\u001b]0;owned\u0007\n';

let folder: string;
let system: System;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-cli-history-'));
  system = await startSystem({ env: await privateEnvironment(folder, process.env), folder });
  assert.equal((await run(['register', 'alice'])).code, 0);
});
after(async () => {
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function environment(): NodeJS.ProcessEnv {
  return { DRIFTLESS_HOME: join(folder, 'home'), DRIFTLESS_AUTH: system.auth, DRIFTLESS_PASSWORD: 'correct horse battery staple' };
}

async function run(words: readonly string[]) {
  const child = spawn(process.execPath, [BIN, ...words], { cwd: folder, env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, out, err };
}
async function done(...words: string[]): Promise<string> {
  const { code, out, err } = await run(words);
  assert.deepEqual([code, err], [0, ''], words.join(' '));
  return out;
}
const json = async <T>(...words: string[]): Promise<T> => JSON.parse(await done(...words, '--json')) as T;
/** The cursor of the last change. */
const end = async (): Promise<string> => (await json<{ cursor: string }[]>('changes')).at(-1)?.cursor ?? '';
async function fails(words: string[], code: number, error: string): Promise<void> {
  const result = await run(words);
  assert.deepEqual([result.code, result.out], [code, ''], result.err);
  assert.match(result.err, new RegExp(`^driftless: .*\\(${error}\\)\\n$`));
}
async function save(path: string, content: string): Promise<void> {
  const local = join(folder, 'saved');
  await writeFile(local, content);
  await done('put', local, path);
}
/** What a terminal would obey. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

test('versions are listed, compared, pinned, and brought back in place or as a copy', async () => {
  for (const content of ['one\n', 'and two\n', 'and then three\n']) await save('/notes.txt', content);
  const versions = await json<RestVersion[]>('versions', '/notes.txt');
  assert.deepEqual(
    versions.map(({ size, current, user }) => [size, current, user]),
    [15, 8, 4].map((size) => [size, size === 15, 'alice']),
  );
  const [newest, middle, oldest] = versions.map(({ version }) => String(version)) as [string, string, string];
  assert.match(
    await done('versions', '/notes.txt'),
    new RegExp(`^ *${newest} .*\\(current\\).*by alice on .*\\n *${middle} .*\\n *${oldest} .*\\n$`),
  );
  assert.match(await done('diff', '/notes.txt', '--from', oldest, '--to', middle), /\n-one\n\+and two\n/);
  await done('pin', '/notes.txt', '--version', oldest);
  assert.match(await done('versions', '/notes.txt'), new RegExp(` *${oldest} .*\\(pinned\\)`));
  await done('unpin', '/notes.txt', '--version', oldest);
  assert.doesNotMatch(await done('versions', '/notes.txt'), /pinned/);
  assert.equal(await done('restore', '/notes.txt', '--version', oldest), `restored version ${oldest} as /notes.txt\n`);
  assert.equal(await done('cat', '/notes.txt'), 'one\n');
  assert.equal(await done('cat', '/notes.txt', '--version', middle), 'and two\n');
  await done('restore', '/notes.txt', '--version', middle, '--to', '/copy.txt');
  assert.equal(await done('cat', '/copy.txt'), 'and two\n');
  await fails(['restore', '/notes.txt', '--version', oldest, '--to', '/copy.txt'], 5, 'already_exists');
  await fails(['restore', '/notes.txt', '--version', '999999999'], 4, 'not_found');
  await fails(['restore', '/notes.txt'], 2, 'request_invalid');
  await fails(['versions', '/nothing'], 4, 'not_found');
});

test('what was deleted is in the trash, and whoever deleted it is named; it comes back by number, elsewhere too', async () => {
  await save('/reports/q3.txt', 'third\n');
  await done('rm', '/reports/q3.txt');
  const [item] = await json<RestTrashItem[]>('trash', '/reports');
  assert.deepEqual([item?.path, item?.user], ['/reports/q3.txt', 'alice']);
  assert.match(await done('trash', '/reports'), new RegExp(`^@${item?.id} .* /reports/q3\\.txt .*by alice on `));
  const [deletion] = await json<RestDeed[]>('who', '/reports/q3.txt');
  assert.equal(deletion?.kind, 'delete');
  await done('undelete', `@${item?.id}`, '--to', '/q3-again.txt');
  assert.equal(await done('cat', '/q3-again.txt'), 'third\n');
  await fails(['undelete', `@${item?.id}`], 5, 'already_exists');
  await fails(['undelete', '@999999999'], 4, 'not_found');
});

test('a folder is rewound after a preview, which changes nothing and holds only for what it showed; undo takes it back', async () => {
  await save('/work/f', 'before\n');
  const cursor = await end();
  await save('/work/f', 'behind it\n');
  await save('/work/g', 'new\n');
  const preview = await done('rewind', '/work', '--to', cursor, '--dry-run');
  assert.match(preview, /would be: 0 brought back, 1 changed back, 0 moved back, 1 deleted\nplan \S+\n$/);
  assert.equal(await done('cat', '/work/f'), 'behind it\n');
  const { plan } = await json<Plan>('rewind', '/work', '--to', cursor, '--dry-run');
  await save('/work/h', 'something came between\n');
  await fails(['rewind', '/work', '--plan', plan], 5, 'version_stale');
  const { operation } = await json<{ operation: string }>('rewind', '/work', '--to', cursor);
  assert.equal(await done('cat', '/work/f'), 'before\n');
  await fails(['cat', '/work/g'], 4, 'not_found');
  assert.match(await done('who', '/work/f'), /\(rewind\)/);
  await done('undo', operation);
  assert.equal(await done('cat', '/work/f'), 'behind it\n');
  assert.equal(await done('cat', '/work/h'), 'something came between\n');
  await fails(['rewind', '/work', '--to', '1999-01-01'], 4, 'not_found');
  await fails(['undo', 'f'.repeat(32)], 4, 'not_found');
  await fails(['undo'], 2, 'request_invalid');
});

test('a device of yours goes by its name where the past is told and taken back, and by no name that is not there', async () => {
  await done('devices', 'rename', 'laptop-3');
  await save('/by/device', 'one\n');
  const [{ device } = { device: '' }] = await json<RestVersion[]>('versions', '/by/device');
  assert.match(device, /^[0-9a-f]{32}$/);
  for (const word of ['versions', 'who']) assert.match(await done(word, '/by/device'), / by alice on laptop-3 {2}operation /);
  for (const word of ['changes', 'events']) assert.match(await done(word), /\/by\/device {2}by alice on laptop-3 {2}\S+$/m);
  const stepsOf = async (named: string) => (await json<Plan>('undo', '--device', named, '--since', '1h', '--dry-run')).steps;
  const steps = await stepsOf('laptop-3');
  assert.ok(steps.some(({ kind, path }) => kind === 'delete' && path === '/by'));
  assert.deepEqual(await stepsOf(device), steps);
  await fails(['undo', '--device', 'laptop-4', '--since', '1h', '--dry-run'], 4, 'not_found');
});

test('names that turn the direction of writing are shown, not obeyed, wherever the past is told', async () => {
  const path = `/${NAME}/${NAME}`;
  for (const content of ['one', 'and two']) await save(path, content);
  const [, first] = await json<RestVersion[]>('versions', path);
  assert.equal(first?.path, path);
  const number = String(first?.version);
  const said = [
    await done('versions', path),
    await done('who', path),
    await done('pin', path, '--version', number),
    await done('restore', path, '--version', number),
    (await run(['versions', `${path}-not`])).err,
  ];
  const cursor = await end();
  await done('rm', path);
  said.push(await done('trash'), await done('rewind', `/${NAME}`, '--to', cursor, '--dry-run'), await done('undelete', path));
  for (const shown of said) {
    assert.ok(shown.includes('invoice\\u202efdp.exe'), shown);
    assert.doesNotMatch(shown, CONTROLS);
  }
});

const hasTerminals = spawnSync(TERMINAL_MAKER, ['--version']).status === 0;

test('a diff of texts that are commands to a terminal shows them there, and goes into a pipe as it is', {
  skip: !hasTerminals,
}, async () => {
  for (const content of ['plain\n', TEXT]) await save('/text', content);
  const [, first] = await json<RestVersion[]>('versions', '/text');
  const words = ['diff', '/text', '--from', String(first?.version)];
  assert.ok((await done(...words)).endsWith(`-plain\n+${TEXT}`));
  const command = ['exec', process.execPath, BIN, ...words].map((word) => `'${word}'`.replace("'exec'", 'exec')).join(' ');
  const child = spawn(TERMINAL_MAKER, ['-qec', command, '/dev/null'], {
    cwd: folder,
    env: { ...process.env, ...environment(), SHELL: '/bin/sh' },
  });
  child.stdin.end();
  const shown = (await text(child.stdout)).replaceAll('\r\n', '\n');
  assert.ok(shown.includes('+a\\x1b[2Jb\\x1b]0;owned\\x07\n'), shown);
  assert.doesNotMatch(shown, CONTROLS);
});
