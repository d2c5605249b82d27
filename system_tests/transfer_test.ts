import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type Driftless, register } from '../Client/client.ts';
import { createTransfers, type TransferReport } from '../Client/transfers.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';

let folder: string;
let system: System;
let me: Driftless;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-transfer-'));
  system = await startSystem({ env: await privateEnvironment(folder, process.env), folder, showErrors: true });
  me = await register({ username: 'alice', password: 'correct horse battery staple', auth: system.auth, home: join(folder, 'home') });
});

after(async () => {
  await me.close();
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Everything below a folder: kind, content, time and mode by path. */
async function snapshot(root: string): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const stats = await lstat(path);
    const name = relative(root, path);
    if (entry.isDirectory()) found.set(name, 'folder');
    else if (entry.isSymbolicLink()) found.set(name, await readlink(path));
    else found.set(name, [(await readFile(path)).toString('base64'), Math.round(stats.mtimeMs * 1000), (stats.mode & 0o100) !== 0]);
  }
  return found;
}

async function makeTree(root: string): Promise<void> {
  await mkdir(join(root, 'a', 'deep', 'er'), { recursive: true });
  await mkdir(join(root, 'empty folder'));
  await mkdir(join(root, 'Grüße 日本'));
  await writeFile(join(root, 'empty'), '');
  await writeFile(join(root, 'one'), '1');
  await writeFile(join(root, 'a', 'run.sh'), '#!/bin/sh\n');
  await chmod(join(root, 'a', 'run.sh'), 0o755);
  await writeFile(join(root, 'Grüße 日本', 'ß'), 'x'.repeat(5000));
  await writeFile(join(root, 'a', 'old'), 'old');
  await utimes(join(root, 'a', 'old'), 1.000001, 1.000001);
  await symlink('../one', join(root, 'a', 'link'));
  for (let i = 0; i < 150; i += 1) await writeFile(join(root, 'a', 'deep', `f${i}`), randomBytes(i * 40));
  for (const [name, bytes] of Object.entries({ chunk: 512 * 1024, more: 512 * 1024 + 1, big: 9_000_000 })) {
    await writeFile(join(root, 'a', 'deep', 'er', name), randomBytes(bytes));
  }
}

const clean = (report: TransferReport): TransferReport => {
  assert.deepEqual(report.failures, []);
  return report;
};

test('a folder comes back as it was put: content, times, modes, links, empty folders; again moves nothing', async () => {
  const source = join(folder, 'source');
  const target = join(folder, 'target');
  await makeTree(source);
  const first = clean(await me.put([{ local: source, remote: '/tree' }]));
  assert.equal(first.files, 159);
  clean(await me.get([{ remote: '/tree', local: target }]));
  assert.deepEqual(await snapshot(target), await snapshot(source));

  assert.deepEqual({ ...clean(await me.put([{ local: source, remote: '/tree' }])) }, { files: 0, bytes: 0, unchanged: 159, failures: [] });
  const again = clean(await me.get([{ remote: '/tree', local: target }]));
  assert.equal(again.unchanged, 158); // a link is made anew
});

test('only what changed is moved, in both directions, and nothing else is removed', async () => {
  const source = join(folder, 'changing');
  const target = join(folder, 'changing-back');
  await makeTree(source);
  clean(await me.put([{ local: source, remote: '/changing' }]));
  clean(await me.get([{ remote: '/changing', local: target }]));
  await writeFile(join(source, 'one'), '2');
  await writeFile(join(source, 'new'), 'new');
  await rm(join(source, 'empty'));
  const bytes = await readFile(join(source, 'a/deep/er/big'));
  await writeFile(
    join(source, 'a/deep/er/big'),
    Buffer.concat([bytes.subarray(0, 4_000_000), Buffer.from('!'), bytes.subarray(4_000_000)]),
  );
  assert.equal(clean(await me.put([{ local: source, remote: '/changing' }])).files, 3);
  assert.equal(clean(await me.get([{ remote: '/changing', local: target }])).files, 4);
  await writeFile(join(source, 'empty'), '');
  await utimes(join(source, 'empty'), await mtime(join(target, 'empty')), await mtime(join(target, 'empty')));
  assert.deepEqual(await snapshot(target), await snapshot(source));
});

async function mtime(path: string): Promise<number> {
  return (await stat(path)).mtimeMs / 1000;
}

test('a touched file sends no content; a changed time and mode arrive', async () => {
  const local = join(folder, 'touched');
  await writeFile(local, randomBytes(2_000_000));
  clean(await me.put([{ local, remote: '/touched' }]));
  const { digest } = await me.entry('/touched');
  await utimes(local, 5, 5);
  await chmod(local, 0o710);
  clean(await me.put([{ local, remote: '/touched' }]));
  const entry = await me.entry('/touched');
  assert.equal(entry.digest, digest);
  assert.equal(entry.executable, true);
  assert.equal(entry.mtime, '1970-01-01T00:00:05.000000Z');
  const back = join(folder, 'touched-back');
  clean(await me.get([{ remote: '/touched', local: back }]));
  assert.equal((await stat(back)).mode & 0o777, 0o710);
});

test('what cannot be put is named, the rest is put', async () => {
  const source = join(folder, 'mixed');
  await mkdir(source);
  await writeFile(join(source, 'good'), 'good');
  await writeFile(join(source, 'bad\nname'), 'x');
  await writeFile(Buffer.concat([Buffer.from(`${source}/not-utf8-`), Buffer.from([0xff])]), 'x');
  await me.createFolder('/mixed/taken');
  await writeFile(join(source, 'taken'), 'a file where a folder is');
  const report = await me.put([{ local: source, remote: '/mixed' }]);
  assert.equal(report.files, 1);
  assert.deepEqual(report.failures.map(({ code }) => code).sort(), ['name_invalid', 'name_invalid', 'not_a_file']);
  assert.equal((await me.preview('/mixed/good')).toString(), 'good');
});

test('what cannot be written is named, the rest is fetched', async () => {
  const source = join(folder, 'for-get');
  await mkdir(source);
  await writeFile(join(source, 'x'), 'x');
  await writeFile(join(source, 'y'), 'y');
  clean(await me.put([{ local: source, remote: '/for-get' }]));
  const target = join(folder, 'for-get-target');
  await mkdir(join(target, 'x', 'in the way'), { recursive: true });
  const report = await me.get([{ remote: '/for-get', local: target }]);
  assert.deepEqual(
    report.failures.map(({ path, code }) => [path, code]),
    [['/for-get/x', 'already_exists']],
  );
  assert.equal(await readFile(join(target, 'y'), 'utf8'), 'y');
});

test('a file that shrinks and grows under the put is never stored mixed', async () => {
  const local = join(folder, 'restless');
  const versions = [Buffer.alloc(3_000_000, 'a'), Buffer.alloc(4_500_000, 'b')];
  await writeFile(local, versions[0] as Buffer);
  let writing = true;
  const writer = (async () => {
    for (let i = 1; writing; i += 1) await writeFile(local, versions[i % 2] as Buffer);
  })();
  const report = await me.put([{ local, remote: '/restless' }]);
  writing = false;
  await writer;
  if (report.failures.length > 0)
    assert.deepEqual(
      report.failures.map(({ code }) => code),
      ['file_changed'],
    );
  else {
    const back = join(folder, 'restless-back');
    clean(await me.get([{ remote: '/restless', local: back }]));
    const stored = await readFile(back);
    assert.ok(stored.length === 0 || stored.every((byte) => byte === stored[0]), 'mixed content');
  }
});

/** A TCP relay in front of the server that counts bytes and can be cut. */
async function relay(t: TestContext): Promise<{ url: string; sent: () => number; cutAfter: (bytes: number) => void }> {
  const { port } = new URL(me.serverUrl);
  const sockets = new Set<Socket>();
  let sent = 0;
  let limit = Number.POSITIVE_INFINITY;
  const server = createServer((incoming) => {
    const outgoing = connectTcp(Number(port), '127.0.0.1');
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        incoming.destroy();
        outgoing.destroy();
      });
    }
    incoming.on('data', (bytes) => {
      sent += bytes.length;
      if (sent < limit) return;
      limit = Number.POSITIVE_INFINITY;
      for (const socket of sockets) socket.destroy();
    });
    incoming.pipe(outgoing).pipe(incoming);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return {
    url: `http://127.0.0.1:${address.port}`,
    sent: () => sent,
    cutAfter: (bytes) => {
      limit = sent + bytes;
    },
  };
}

/** Transfers of the same user over another address. */
function transfersOver(serverUrl: string, home: string) {
  const session = {
    user: { id: 'alice', name: 'alice' },
    serverUrl,
    ticket: () => me.ticket(),
    refresh: () => me.ticket(),
    pins: () => [],
  };
  return createTransfers({ session, home: join(folder, home) });
}

test('a connection that is cut in the middle of a put costs at most what was in flight', async (t) => {
  const local = join(folder, 'cut');
  const size = 40_000_000;
  await writeFile(local, randomBytes(size));
  const link = await relay(t);
  const transfers = transfersOver(link.url, 'home-cut');
  link.cutAfter(size / 2);
  clean(await transfers.put([{ local, remote: '/cut' }]));
  // two groups of 8 MiB may be unacknowledged, and what lay in buffers
  assert.ok(link.sent() < size + 24_000_000, `${link.sent()} bytes were sent`);
  const back = join(folder, 'cut-back');
  link.cutAfter(500); // the request of the pull
  clean(await transfers.get([{ remote: '/cut', local: back }]));
  assert.ok((await readFile(back)).equals(await readFile(local)));
});

test('a get that was broken off goes on behind the last whole chunk', async () => {
  const local = join(folder, 'resume');
  await writeFile(local, randomBytes(20_000_000));
  clean(await me.put([{ local, remote: '/resume' }]));
  const { digest } = await me.entry('/resume');
  const target = join(folder, 'resume-target');
  await mkdir(target);
  const mark = hash('sha256', Buffer.concat([Buffer.from(digest ?? '', 'hex'), Buffer.from('resume')]));
  const part = join(target, `.driftless-${mark.slice(0, 16)}.part`);
  await writeFile(part, (await readFile(local)).subarray(0, 12_000_000));
  const damaged = await open(part, 'r+');
  await damaged.write('damage', 11_000_000);
  await damaged.close();
  clean(await me.get([{ remote: '/resume', local: join(target, 'resume') }]));
  assert.ok((await readFile(join(target, 'resume'))).equals(await readFile(local)));
  assert.deepEqual(await readdir(target), ['resume']);
});

test('one byte put in sends a few hundred bytes at the head of a long file, a block or two inside it', async (t) => {
  const local = join(folder, 'insert');
  const content = randomBytes(30_000_000);
  await writeFile(local, content);
  const link = await relay(t);
  const transfers = transfersOver(link.url, 'home-insert');
  clean(await transfers.put([{ local, remote: '/insert' }]));
  const edits: [Buffer, number][] = [
    [Buffer.concat([Buffer.from('!'), content]), 3000],
    [
      Buffer.concat([content.subarray(0, 1e7), Buffer.from('?'), content.subarray(1e7)]),
      4 * Math.ceil(LIMITS.chunkBytesMax / LIMITS.deltaBlocksMax) + 3000,
    ], // blocks of the longest chunk
  ];
  for (const [edited, budget] of edits) {
    await writeFile(local, edited);
    const before = link.sent();
    clean(await transfers.put([{ local, remote: '/insert' }]));
    const cost = link.sent() - before;
    assert.ok(cost < budget, `${cost} bytes were sent`);
    const back = join(folder, 'insert-back');
    await rm(back, { force: true });
    clean(await me.get([{ remote: '/insert', local: back }]));
    assert.ok((await readFile(back)).equals(edited));
  }
});

test('a put that remembers a version which is no longer there finds out and still puts', async () => {
  const local = join(folder, 'stale');
  await writeFile(local, randomBytes(3_000_000));
  const transfers = transfersOver(me.serverUrl, 'home-stale');
  clean(await transfers.put([{ local, remote: '/stale' }]));
  const other = join(folder, 'stale-other');
  await writeFile(other, randomBytes(2_500_000));
  clean(await me.put([{ local: other, remote: '/stale' }]));
  await truncate(local, 2_900_000);
  assert.equal(clean(await transfers.put([{ local, remote: '/stale' }])).files, 1);
  const back = join(folder, 'stale-back');
  clean(await me.get([{ remote: '/stale', local: back }]));
  assert.ok((await readFile(back)).equals(await readFile(local)));
  await me.delete('/stale');
  await truncate(local, 2_800_000);
  assert.equal(clean(await transfers.put([{ local, remote: '/stale' }])).files, 1);
});

test('a cancelled put ends with `cancelled`, leaves nothing half and can be repeated', async () => {
  const source = join(folder, 'cancelled');
  await mkdir(source);
  for (let i = 0; i < 40; i += 1) await writeFile(join(source, `f${i}`), randomBytes(400_000));
  const abort = new AbortController();
  const running = me.put([{ local: source, remote: '/cancelled' }], { signal: abort.signal, onProgress: () => abort.abort() });
  await assert.rejects(running, (error: unknown) => error instanceof AppError && error.code === 'cancelled');
  clean(await me.put([{ local: source, remote: '/cancelled' }]));
  const back = join(folder, 'cancelled-back');
  clean(await me.get([{ remote: '/cancelled', local: back }]));
  assert.deepEqual(await snapshot(back), await snapshot(source));
});

test('what a killed get left behind is cleared away by the next one, what another one uses is not', async () => {
  const source = join(folder, 'left');
  await mkdir(join(source, 'sub'), { recursive: true });
  await writeFile(join(source, 'sub', 'x'), 'x');
  clean(await me.put([{ local: source, remote: '/left' }]));
  const target = join(folder, 'left-target');
  const long = new Date(Date.now() - 3_600_000);
  const nobody = '7fffffff'; // beyond every process id
  const own = process.pid.toString(16).padStart(8, '0');
  for (const name of [`.driftless-${nobody}00000001.part`, `.driftless-${nobody}00000002.part`, `.driftless-${own}00000003.part`]) {
    await mkdir(join(target, name), { recursive: true });
    await writeFile(join(target, name, '1'), 'half');
    if (!name.endsWith('2.part')) await utimes(join(target, name), long, long);
  }
  clean(await me.get([{ remote: '/left', local: target }]));
  assert.deepEqual((await readdir(target)).sort(), [`.driftless-${own}00000003.part`, `.driftless-${nobody}00000002.part`, 'sub'].sort());
  clean(await me.put([{ local: target, remote: '/left-again' }]));
  assert.deepEqual(
    (await Array.fromAsync(me.list('/left-again'))).map(({ path }) => path),
    ['/left-again/sub'],
  );
});
