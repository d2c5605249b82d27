import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, type Driftless, type PublishedMessage, register } from '../Client/client.ts';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';

/** Files fetched from devices: real processes, and the devices as their users run them. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const PASSWORD = 'correct horse battery staple';
const BIG_BYTES = 48 * 1024 * 1024;
const WAIT_MS_MAX = 60_000;

let folder: string;
let system: System;
let alice: Driftless; // who has the files
let bob: Driftless;
let carol: Driftless;
let names = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-publish-'));
  system = await startSystem({ env: await privateEnvironment(folder, process.env), folder, showErrors: true });
  [alice, bob, carol] = [await newUser('alice'), await newUser('bob'), await newUser('carol')];
});
after(async () => {
  for (const user of [alice, bob, carol]) await user.close();
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const homeOf = (name: string): string => join(folder, `home-${name}`);
const newUser = (username: string): Promise<Driftless> =>
  register({ username, password: PASSWORD, auth: system.auth, home: homeOf(username) });

/** A folder of its own with these files. */
async function madeFolder(files: Readonly<Record<string, Buffer | string>>): Promise<string> {
  names += 1;
  const local = join(folder, `set-${names}`);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(local, path, '..'), { recursive: true });
    await writeFile(join(local, path), content);
  }
  return local;
}

async function refused(work: Promise<unknown>, ...codes: ErrorCode[]): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof AppError && codes.includes(error.code), `${String(error)} is none of ${codes.join(', ')}`);
    return true;
  });
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const since = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - since < WAIT_MS_MAX, what);
    await sleep(10);
  }
}

const seen = async (user: Driftless): Promise<string[]> =>
  (await Array.fromAsync(user.published())).map((file) => `${file.user}/${file.name}`);

/** `driftless publish` in a process of its own; resolves when it says that it publishes. */
async function runPublish(t: TestContext, local: string, ...words: string[]): Promise<ChildProcess> {
  const env = { DRIFTLESS_HOME: homeOf('alice'), DRIFTLESS_AUTH: system.auth };
  const child = spawn(process.execPath, [BIN, 'publish', local, ...words], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout, terminal: false })) if (line.startsWith('publishing ')) break;
  child.stdout.resume();
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
}

/** Bytes of each file in the server's data but those of its databases. */
async function serverFiles(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const entry of await readdir(join(folder, 'data'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /\.db(-\w+)?$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path, (await stat(path)).size);
  }
  return found;
}

test('a file is fetched from the device that has it, is what it was, and the server keeps none of it', async () => {
  const content = randomBytes(3_000_000);
  const local = await madeFolder({ 'deep/er/photo.raw': content, 'note.txt': 'hello' });
  const before = await serverFiles();
  await using publisher = await alice.publish(local, { name: 'trip', to: [bob.username] });
  assert.deepEqual(await seen(bob), ['alice/trip/deep/er/photo.raw', 'alice/trip/note.txt']);
  const target = join(folder, 'fetched.raw');
  assert.deepEqual(await bob.fetch('alice', 'trip/deep/er/photo.raw', target), {
    local: target,
    bytes: content.length,
    size: content.length,
  });
  assert.ok(content.equals(await readFile(target)));
  assert.equal((await bob.fetchPreview('alice', 'note.txt')).toString(), 'hello');
  assert.ok(content.subarray(0, 1024).equals(await bob.fetchPreview('alice', 'deep/er/photo.raw')));
  assert.deepEqual(await serverFiles(), before);
  const log = (await Array.fromAsync(alice.fetches())).map(({ user, name, sent }) => `${user} ${name} ${sent}`);
  assert.deepEqual(log.toSorted(), ['bob trip/deep/er/photo.raw 1024', 'bob trip/deep/er/photo.raw 3000000', 'bob trip/note.txt 5']);
  assert.deepEqual(await Array.fromAsync(bob.fetches()), []);
  assert.deepEqual(await readdir(folder).then((found) => found.filter((name) => name.endsWith('.part'))), []);
  await alice.unpublish('trip');
  assert.equal(await publisher.ended, 'withdrawn');
});

test('what is not for somebody does not exist for them', async (t) => {
  const secret = randomBytes(1000);
  const local = await madeFolder({ secret });
  await using publisher = await alice.publish(local, { name: 'private', to: [bob.username] });
  t.after(() => alice.unpublish('private'));
  const told: PublishedMessage[] = [];
  t.after(carol.watchPublished((message) => told.push(message)));
  assert.deepEqual(await seen(carol), []);
  await refused(carol.fetch('alice', 'private/secret', join(folder, 'carol')), 'not_found');
  await refused(carol.fetchPreview('alice', 'secret'), 'not_found');
  const { serverUrl } = carol;
  const answers = await Promise.all(
    [publisher.id, '0'.repeat(32)].flatMap((id) =>
      [hash('sha256', secret), '1'.repeat(64)].map(async (digest) => {
        const query = new URLSearchParams({ id, path: 'secret', digest });
        const answer = await fetch(`${serverUrl}/v1/published-content?${query}`, {
          headers: { authorization: `Bearer ${await carol.ticket()}` },
        });
        const { requestId: _, ...problem } = (await answer.json()) as Record<string, unknown>;
        return JSON.stringify(problem);
      }),
    ),
  );
  assert.equal(new Set(answers).size, 1, 'neither an id nor a digest tells anything');
  await writeFile(join(local, 'more'), 'x');
  await until(async () => (await seen(bob)).length === 2, 'the file is announced');
  assert.deepEqual(told, []);
});

test('members of a shared folder may fetch while they are members, and its owner while they are', async (t) => {
  await alice.createFolder('/team');
  const local = await madeFolder({ plan: 'the plan' });
  await refused(alice.publish(local, { name: 'plans', to: { membersOf: '/team' } }), 'not_found'); // not shared yet
  const { id } = await alice.invite('/team', bob.username);
  await using _ = await alice.publish(local, { name: 'plans', to: { membersOf: '/team' } });
  t.after(() => alice.unpublish('plans'));
  assert.deepEqual(await seen(bob), [], 'an invitation does not count');
  const { path } = await bob.accept(id);
  assert.deepEqual(await seen(bob), ['alice/plans/plan']);
  await bob.fetch('alice', 'plan', join(folder, 'plan'));
  await bob.leave(path);
  assert.deepEqual(await seen(bob), []);
  await refused(bob.fetch('alice', 'plan', join(folder, 'plan')), 'not_found');
});

test('others are told what is added, changed and taken away, and that the owner comes and goes', async (t) => {
  const text = ({ user, name, change, files, gone }: PublishedMessage): string =>
    [user, name, change, ...files.map((file) => `+${file.path}`), ...gone.map((file) => `-${file}`)].join(' ');
  const told: string[] = [];
  t.after(bob.watchPublished((message) => told.push(text(message))));
  await until(async () => (await bob.online()).some(({ own }) => own), 'bob listens');
  const followed: string[] = [];
  const over = new AbortController();
  t.after(() => over.abort());
  const following = bob.events({ signal: over.signal });
  const first = following[Symbol.asyncIterator]();
  assert.equal((await first.next()).value?.type, 'connected');
  const all = (async () => {
    for await (const event of { [Symbol.asyncIterator]: () => first }) if (event.type === 'published') followed.push(text(event));
  })();
  const heard = (what: string): Promise<void> => until(() => told.includes(what), `${what} is not in ${told.join('; ')}`);
  const local = await madeFolder({ one: '1' });
  const publisher = await alice.publish(local, { name: 'news', to: 'everyone' });
  await heard('alice news files +one');
  await heard('alice news online');
  await writeFile(join(local, 'two'), '2');
  await heard('alice news files +two');
  await rename(join(local, 'two'), join(local, 'three'));
  await heard('alice news files +three -two');
  await unlink(join(local, 'one'));
  await heard('alice news files -one');
  await publisher.close();
  await heard('alice news offline');
  const [file] = await Array.fromAsync(bob.published({ user: 'alice' }));
  assert.deepEqual([file?.name, file?.online], ['news/three', false]);
  await refused(bob.fetch('alice', 'three', join(folder, 'three')), 'owner_offline');
  await alice.unpublish('news');
  await heard('alice news withdrawn');
  await until(() => followed.length >= told.length, 'who follows events is told the same');
  assert.deepEqual(followed, told);
  over.abort();
  await all;
});

test('a file that is not what was announced any more is refused, and never comes as a mix', async (t) => {
  const local = await madeFolder({ data: Buffer.alloc(BIG_BYTES, 'a') });
  const next = Buffer.alloc(BIG_BYTES, 'b');
  const nextDigest = hash('sha256', next);
  await using _ = await alice.publish(local, { name: 'changing', to: [bob.username] });
  t.after(() => alice.unpublish('changing'));
  const target = join(folder, 'changing');
  let isChanged = false;
  const fetching = bob.fetch('alice', 'data', target, {
    onProgress: () => {
      if (isChanged) return;
      isChanged = true;
      void writeFile(join(local, 'data'), next);
    },
  });
  await refused(fetching, 'file_changed');
  await assert.rejects(stat(target), { code: 'ENOENT' });
  await until(async () => {
    const [file] = await Array.fromAsync(bob.published());
    return file?.digest === nextDigest;
  }, 'the new content is announced');
  await bob.fetch('alice', 'data', target);
  assert.ok(next.equals(await readFile(target)));
  await utimes(join(local, 'data'), 1, 1); // the same content under another time is announced and served as before
  await until(async () => (await bob.fetch('alice', 'data', target).catch(() => null)) !== null, 'it can be fetched again');
});

test('the owner killed in the middle is a typed error, and the fetch goes on from where it was when they return', async (t) => {
  const content = randomBytes(BIG_BYTES);
  const local = await madeFolder({ big: content });
  const first = await runPublish(t, local, '--name', 'killed', '--to', 'bob');
  t.after(() => alice.unpublish('killed'));
  const target = join(folder, 'from-killed');
  let death: Promise<void> | undefined;
  let kept = 0;
  const killOnce = ({ bytesDone }: { bytesDone: number }): void => {
    kept = bytesDone;
    death ??= killed(first);
  };
  await refused(bob.fetch('alice', 'big', target, { waitMs: 0, onProgress: killOnce }), 'owner_offline');
  await death;
  assert.ok(kept > 0 && kept < content.length, `${kept} bytes came`);
  await assert.rejects(stat(target), { code: 'ENOENT' });

  const second = await runPublish(t, local, '--name', 'killed', '--to', 'bob');
  let dying: Promise<unknown> | undefined;
  const fetched = await bob.fetch('alice', 'big', target, {
    onProgress: ({ bytesDone }) => {
      if (bytesDone > kept) dying ??= killed(second).then(() => runPublish(t, local, '--name', 'killed', '--to', 'bob'));
    },
  });
  assert.ok(dying !== undefined, 'it was killed under way');
  await dying;
  assert.deepEqual([fetched.bytes, fetched.size], [content.length - kept, content.length]);
  assert.ok(content.equals(await readFile(target)));
});

test('the requester killed in the middle frees the owner at once, and goes on from where it was', async (t) => {
  const content = randomBytes(BIG_BYTES);
  const local = await madeFolder({ big: content });
  const events: string[] = [];
  await using _ = await alice.publish(local, { name: 'kept', to: [bob.username], onEvent: ({ kind }) => events.push(kind) });
  t.after(() => alice.unpublish('kept'));
  const place = await madeFolder({ other: '' });
  const target = join(place, 'big');
  const env = { DRIFTLESS_HOME: homeOf('bob'), DRIFTLESS_AUTH: system.auth };
  const child = spawn(process.execPath, [BIN, 'fetch', 'alice/kept/big', target], { env, stdio: 'ignore' });
  const partOf = async (): Promise<number> => {
    const name = (await readdir(place)).find((one) => one.endsWith('.part'));
    return name === undefined ? 0 : (await stat(join(place, name))).size;
  };
  await until(async () => (await partOf()) > 0, 'something comes');
  await killed(child);
  const kept = await partOf();
  assert.ok(kept > 0 && kept < content.length, `${kept} bytes were kept`);
  await until(() => events.includes('not_served'), 'the owner hears that nobody takes the rest');
  const fetched = await bob.fetch('alice', 'big', target);
  assert.deepEqual(fetched.bytes, content.length - kept);
  assert.ok(content.equals(await readFile(target)));
});

test('a part that is not what it should be is fetched again from the start', async (t) => {
  const content = randomBytes(BIG_BYTES / 8);
  const local = await madeFolder({ big: content });
  await using _ = await alice.publish(local, { name: 'spoiled', to: [bob.username] });
  t.after(() => alice.unpublish('spoiled'));
  const place = await madeFolder({ other: '' });
  const target = join(place, 'big');
  const stop = new AbortController();
  await refused(bob.fetch('alice', 'big', target, { signal: stop.signal, onProgress: () => stop.abort() }), 'cancelled');
  const part = (await readdir(place)).find((name) => name.endsWith('.part')) ?? '';
  await writeFile(join(place, part), 'other', { flag: 'r+' });
  const { bytes } = await bob.fetch('alice', 'big', target);
  assert.equal(bytes, content.length);
  assert.ok(content.equals(await readFile(target)));
});

test('ten fetches at once all arrive', async (t) => {
  const contents = Array.from({ length: 5 }, () => randomBytes(BIG_BYTES / 8));
  const local = await madeFolder(Object.fromEntries(contents.map((content, i) => [`f${i}`, content])));
  await using _ = await alice.publish(local, { name: 'ten', to: [bob.username, carol.username] });
  t.after(() => alice.unpublish('ten'));
  await Promise.all(
    contents.flatMap((content, i) =>
      [bob, carol].map(async (user) => {
        const target = join(folder, `ten-${user.username}-${i}`);
        await user.fetch('alice', `ten/f${i}`, target);
        assert.ok(content.equals(await readFile(target)));
      }),
    ),
  );
});

test('the owner publishes again after the server was killed, and another device of theirs can fetch', async (t) => {
  const local = await madeFolder({ f: 'still here', empty: '' });
  await using _ = await alice.publish(local, { name: 'restart' });
  t.after(() => alice.unpublish('restart'));
  assert.deepEqual(await seen(bob), []);
  await system.running.server.kill();
  await system.restart('server');
  await using desktop = await connect({ username: 'alice', password: PASSWORD, auth: system.auth, home: homeOf('alice-desktop') });
  for (const name of ['f', 'empty']) {
    const { local: target } = await desktop.fetch('alice', `restart/${name}`, join(folder, `restart-${name}`), { waitMs: WAIT_MS_MAX });
    assert.equal(await readFile(target, 'utf8'), name === 'f' ? 'still here' : '');
  }
});

test('the shell publishes again what was published last, and knows the other words', async (t) => {
  const local = await madeFolder({ 'a b.txt': 'from the shell' });
  const earlier = await runPublish(t, local, '--name', 'course', '--to', 'bob');
  await killed(earlier);
  t.after(() => alice.unpublish('course'));
  const shellOf = (user: string) => {
    const env = { DRIFTLESS_HOME: homeOf(user), DRIFTLESS_AUTH: system.auth };
    const child = spawn(process.execPath, [BIN, 'shell'], { cwd: folder, env, stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const printed: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => printed.push(line));
    return { child, printed, ended: once(child, 'close') };
  };
  const isOnline = async (): Promise<boolean | undefined> => (await Array.fromAsync(bob.published({ user: 'alice' })))[0]?.online;
  await until(async () => (await isOnline()) === false, 'the killed one has gone');
  const ofAlice = shellOf('alice');
  ofAlice.child.stdin.write('connect\nlist_my_files\n');
  await until(async () => (await isOnline()) === true, 'it is published again');
  const ofBob = shellOf('bob');
  ofBob.child.stdin.end('list_all_files\ndownload_file alice "course/a b.txt"\n');
  assert.deepEqual(await ofBob.ended, [0, null]);
  assert.match(ofBob.printed.join('\n'), /online {3}alice\/course\/a b\.txt\n(?:.*alice\/.*\n)*fetched .*a b\.txt/); // those of other tests too
  assert.equal(await readFile(join(folder, 'a b.txt'), 'utf8'), 'from the shell');
  ofAlice.child.stdin.end('disconnect\n');
  assert.deepEqual(await ofAlice.ended, [0, null]);
  assert.match(ofAlice.printed.join('\n'), /alice\/course\/a b\.txt/);
  await until(async () => (await isOnline()) === false, 'it is offline');
});
