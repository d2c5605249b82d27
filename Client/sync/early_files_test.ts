import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../Models/errors.ts';
import { sha256 } from '../transfer/local_files.ts';
import { openLocalTree } from './disk/local_tree.ts';
import { EarlyFiles } from './early_files.ts';
import { openSyncIndex } from './index/sync_index.ts';
import type { ArrivedChunk } from './remote/remote.ts';
import { type BeforeDiskCall, openMemoryDisk } from './testing/memory_disk.ts';
import { otherProgram } from './testing/memory_disk_user.ts';
import { MemoryVolume, systemError } from './testing/memory_disk_volume.ts';

const ROOT_NODE = 7;
const STAGED = '.driftless/tmp';
const FILE = { id: 'a'.repeat(32), path: `@${ROOT_NODE}/new/long`, size: 30 };
const [a, b, c] = ['first', 'second', 'third'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];

const refOf = (content: Buffer) => ({ digest: sha256(content), length: content.length });
const chunkOf = (content: Buffer): ArrivedChunk => ({ ...refOf(content), content: [content.subarray(0, 2), content.subarray(2)] });

type Circumstances = { readonly ignored?: boolean; readonly before?: BeforeDiskCall };

function open(chunks: () => AsyncIterable<ArrivedChunk>, { ignored = false, before = () => undefined }: Circumstances = {}) {
  const volume = new MemoryVolume({ foldsCase: false, foldsUnicode: false, birthTimes: true, timeStepMs: 1, now: () => 1, device: 1 });
  const disk = openMemoryDisk(volume, before);
  const tree = openLocalTree(disk, { now: () => 1, timeStepMs: 1, copyName: (name) => name, onKept: () => undefined });
  const index = openSyncIndex(':memory:');
  index.setRoot(ROOT_NODE);
  let asked = 0;
  const early = new EarlyFiles({
    tree,
    index,
    names: { toLocal: (name) => name, toRemote: (name) => name },
    rules: () => ({ match: () => (ignored ? { source: 'ignored', line: 1, pattern: '*' } : null) }),
    remote: {
      arriving() {
        asked += 1;
        return chunks();
      },
    },
  });
  const user = otherProgram(volume);
  const staged = (): string[] =>
    user
      .walk()
      .map(({ path }) => path)
      .filter((path) => path.startsWith(`${STAGED}/`));
  return { early, staged, tree, index, asked: () => asked };
}

const turns = async (): Promise<void> => {
  for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

async function* all(...contents: Buffer[]) {
  for (const content of contents) yield chunkOf(content);
}

test('what came early is handed over as far as it is the file that is fetched', async () => {
  for (const [wanted, count] of [
    [[a, b, c], 2],
    [[a, c], 1],
  ] as const) {
    const { early, staged } = open(() => all(a, b));
    early.arriving(FILE);
    await turns();
    const taken = await early.take(wanted.map(refOf), 99);
    assert.equal(taken?.chunks, count);
    assert.deepEqual(staged(), [`${STAGED}/99`]);
    const bytes = Buffer.alloc(a.length);
    taken?.file.read(bytes, 0);
    assert.deepEqual(bytes, a);
    taken?.file.close();
    assert.equal(await early.take(wanted.map(refOf), 100), null, 'it is handed over once');
  }
});

test('of another file nothing is handed over, and what nobody asked for is thrown away', async () => {
  const { early, staged } = open(() => all(a, b));
  early.arriving(FILE);
  await turns();
  assert.equal(await early.take([refOf(c)], 99), null);
  assert.equal(staged().length, 1);
  await early.unclaimed()();
  assert.deepEqual(staged(), []);
  assert.equal(await early.take([refOf(a)], 99), null);
});

test('what came before a connection broke is kept', async () => {
  const { early } = open(async function* () {
    yield chunkOf(a);
    throw new AppError('server_unreachable', 'cut');
  });
  early.arriving(FILE);
  await turns();
  const taken = await early.take([a, b].map(refOf), 99);
  assert.equal(taken?.chunks, 1);
  taken?.file.close();
});

test('what is not for this folder is not fetched', async () => {
  for (const path of ['@8/elsewhere', '/by/path', '@x', `@${ROOT_NODE}/..`, `@${ROOT_NODE}`]) {
    const { early, asked } = open(() => all(a));
    early.arriving({ ...FILE, path });
    await turns();
    assert.equal(asked(), 0, path);
  }
  const { early, asked } = open(() => all(a), { ignored: true });
  early.arriving(FILE);
  await turns();
  assert.equal(asked(), 0, 'left out');
});

test('another one is not followed before what came is taken or thrown away', async () => {
  const { early, asked } = open(() => all(a, b));
  early.arriving(FILE);
  await turns();
  early.arriving({ ...FILE, path: `@${ROOT_NODE}/other` });
  assert.equal(asked(), 1);
  (await early.take([refOf(a)], 99))?.file.close();
  early.arriving({ ...FILE, path: `@${ROOT_NODE}/other` });
  assert.equal(asked(), 2);
  await early.drop();
  early.arriving(FILE);
  assert.equal(asked(), 3);
  await early.drop();
});

test('what ends while a pass goes on is left for the next one', async () => {
  const end = Promise.withResolvers<void>();
  const { early, staged } = open(async function* () {
    yield chunkOf(a);
    await end.promise;
  });
  early.arriving(FILE);
  await turns();
  const first = early.unclaimed();
  end.resolve();
  await turns();
  await first();
  assert.equal(staged().length, 1);
  await early.unclaimed()();
  assert.deepEqual(staged(), []);
});

test('nothing is handed over of what a disk could not write, or could not make durable', async () => {
  for (const [failing, at] of [
    ['file.write', 3],
    ['file.sync', 1],
    ['create', 1],
  ] as const) {
    const long = Buffer.alloc(64 << 20);
    let calls = 0;
    const before: BeforeDiskCall = (call) => {
      if (call.name === failing) calls += 1;
      if (call.name === failing && calls === at) throw systemError('ENOSPC', 'write', 'staged');
    };
    const { early, staged } = open(() => all(a, long), { before });
    early.arriving(FILE);
    await turns();
    assert.deepEqual(staged(), [], failing);
    assert.equal(await early.take([refOf(a), refOf(long)], 99), null, failing);
  }
});

test('a disk that fails just when it is asked for takes nothing with it', async () => {
  const long = Buffer.alloc(64 << 20);
  let take: Promise<unknown> = Promise.resolve();
  const opened = open(() => all(a, long), {
    before: (call) => {
      if (call.name !== 'file.sync') return;
      take = opened.early.take([refOf(a), refOf(long)], 99);
      throw systemError('EIO', 'fsync', 'staged');
    },
  });
  opened.early.arriving(FILE);
  await turns();
  assert.equal(await take, null);
  assert.deepEqual(opened.staged(), []);
});

test('what was cleared away with everything that was staged is not handed over', async () => {
  const { early, tree } = open(() => all(a, b));
  early.arriving(FILE);
  await turns();
  tree.clearStaged();
  assert.equal(await early.take([refOf(a)], 99), null);
});

test('an index that cannot be written to ends nothing', () => {
  const { early, asked, index } = open(() => all(a));
  index.close();
  early.arriving(FILE);
  assert.equal(asked(), 0);
});
