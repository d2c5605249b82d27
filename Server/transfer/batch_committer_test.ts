import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Operation, OperationResult } from '../../Models/operations.ts';
import { verifyContent } from '../../Storage/verified_chunk.ts';
import { BatchCommitter, type HeldBytes } from './batch_committer.ts';

const principal = { userId: 'u', userName: 'u', deviceId: 'd' };
const mkdir = (path: string): Operation => ({ kind: 'mkdir', path, existingOk: true, mode: null, mtimeUs: null });

type Store = { readonly commits: Operation[][]; fail: AppError | null };

/** A committer on stores that only remember what was committed. */
function committer(store: Store, held: HeldBytes = { bytes: 0 }): BatchCommitter {
  const done: OperationResult = { status: 'done', nodeId: 1, version: 1 };
  const deps = {
    metadata: {
      have: async (_: unknown, digests: readonly Buffer[]) => digests.map(() => false),
      recordChunks: async () => undefined,
      async commit(_: unknown, __: unknown, ___: unknown, operations: readonly Operation[]) {
        await setImmediate();
        if (store.fail !== null) throw store.fail;
        store.commits.push([...operations]);
        return operations.map(() => done);
      },
    },
    chunks: { append: async () => [], sync: async () => undefined },
    assertLive: async () => undefined,
    held,
  };
  return new BatchCommitter(deps, principal, { id: randomBytes(16), resumed: false }, async () => undefined);
}

test('once a batch failed nothing behind it is committed', async () => {
  const store: Store = { commits: [], fail: new AppError('storage_unavailable', 'the database does not answer') };
  const batches = committer(store);
  batches.addOperation(0, mkdir('/new'), 32);
  await assert.rejects(batches.settle(), { code: 'storage_unavailable' });
  store.fail = null;
  assert.throws(() => batches.addOperation(1, { kind: 'delete', path: '/old', base: 'any', onlyEmpty: false }, 32), {
    code: 'storage_unavailable',
  });
  await sleep(50); // longer than a batch waits for company
  await assert.rejects(batches.flush(), { code: 'storage_unavailable' });
  await assert.rejects(batches.finish(), { code: 'storage_unavailable' });
  assert.deepEqual(store.commits, []);
});

test('a push whose last batches fail does not end as one that is done, and owes nothing any more', async () => {
  const held = { bytes: 0 };
  const store: Store = { commits: [], fail: new AppError('storage_full', 'no space left') };
  const batches = committer(store, held);
  batches.addOperation(0, mkdir('/a'), 32);
  await batches.flush(); // being committed
  batches.addOperation(1, mkdir('/b'), 32); // and behind it the last one comes
  assert.equal(batches.idle, false);
  while (!batches.idle) await setImmediate();
  await assert.rejects(batches.finish(), { code: 'storage_full' });
  assert.deepEqual([store.commits, held.bytes], [[], 0]);
});

test('chunks without an operation are recorded before they are many, and before the end; never before they are synced', async () => {
  const order: string[] = [];
  const deps = {
    metadata: {
      have: async (_: unknown, digests: readonly Buffer[]) => digests.map(() => false),
      recordChunks: async (_: unknown, stored: readonly unknown[]) => void order.push(`record ${stored.length}`),
      commit: async () => [],
    },
    chunks: {
      append: async (chunks: readonly unknown[], durable?: string) => {
        order.push(`append ${durable}`);
        return chunks.map(() => ({ pack: 'p', offset: 0, length: 1 }));
      },
      sync: async () => void order.push('sync'),
    },
    assertLive: async () => undefined,
    held: { bytes: 0 },
  };
  const batches = new BatchCommitter(deps, principal, { id: randomBytes(16), resumed: false }, async () => undefined);
  const many = Math.ceil(LIMITS.unrecordedBytesMax / 512);
  for (let i = 0; i < many; i += 1) {
    const content = Buffer.alloc(4);
    content.writeUInt32BE(i);
    batches.addChunk(verifyContent(content, null));
    if (batches.full) await batches.flush();
  }
  await batches.settle();
  assert.equal(order.filter((step) => step.startsWith('record')).length, 1);
  batches.addChunk(verifyContent(randomBytes(9), null));
  await batches.finish();
  const recorded = order.flatMap((step) => (step.startsWith('record') ? [Number(step.slice(7))] : []));
  assert.equal(recorded.length, 2);
  assert.equal(
    recorded.reduce((sum, count) => sum + count, 0),
    many + 1,
  );
  for (const [i, step] of order.entries()) if (step.startsWith('record')) assert.equal(order[i - 1], 'sync');
});

test('more chunks are written while others are made durable, and what refers to any of them waits', async () => {
  const order: string[] = [];
  const syncs: (() => void)[] = [];
  const deps = {
    metadata: {
      have: async (_: unknown, digests: readonly Buffer[]) => digests.map(() => false),
      recordChunks: async () => void order.push('record'),
      commit: async () => {
        order.push('commit');
        return [];
      },
    },
    chunks: {
      append: async (chunks: readonly unknown[]) => {
        order.push('append');
        return chunks.map(() => ({ pack: 'p', offset: 0, length: 1 }));
      },
      sync: () => new Promise<void>((resolve) => syncs.push(resolve)),
    },
    assertLive: async () => undefined,
    held: { bytes: 0 },
  };
  const batches = new BatchCommitter(deps, principal, { id: randomBytes(16), resumed: false }, async () => undefined);
  const content = Buffer.alloc(LIMITS.chunkBytesMax);
  const addBatch = async (): Promise<void> => {
    content.writeUInt32BE(content.readUInt32BE() + 1);
    batches.addChunk(verifyContent(Buffer.from(content), null));
    await batches.settle();
  };
  while (syncs.length === 0) await addBatch();
  const before = order.length;
  await addBatch();
  assert.deepEqual(order.slice(before), ['append']);
  batches.addOperation(0, mkdir('/d'), 32);
  const settled = batches.settle();
  await setImmediate();
  assert.deepEqual(order.slice(before), ['append']);
  syncs[0]?.();
  while (syncs.length < 2) await setImmediate(); // of the chunk that came later
  assert.deepEqual(order.slice(before), ['append', 'record']);
  syncs[1]?.();
  await settled;
  assert.deepEqual(order.slice(before), ['append', 'record', 'commit']);
  await batches.finish();
});

test('a batch is full after many tiny chunks', () => {
  const batches = committer({ commits: [], fail: null });
  let added = 0;
  for (; !batches.full && added < 200_000; added += 1) {
    const content = Buffer.alloc(4);
    content.writeUInt32BE(added);
    batches.addChunk(verifyContent(content, null));
  }
  assert.ok(added <= 65_536, `${added} chunks`);
});

test('a chunk that comes again and again fills a batch too', () => {
  const batches = committer({ commits: [], fail: null });
  const chunk = verifyContent(randomBytes(1024 * 1024), null);
  let added = 0;
  for (; !batches.full && added < 1000; added += 1) batches.addChunk(chunk);
  assert.ok(added <= 16, `${added} times`);
});

test('a batch is full after a few long operations', () => {
  const batches = committer({ commits: [], fail: null });
  let added = 0;
  for (; !batches.full && added < LIMITS.batchOperationsMax; added += 1) batches.addOperation(added, mkdir('/d'), LIMITS.frameBytesMax);
  assert.equal(added, 1);
});

test('where all pushes together hold much, each holds little; what was committed or dropped is held no more', async () => {
  const held = { bytes: 0 };
  const store: Store = { commits: [], fail: null };
  const others: BatchCommitter[] = [];
  const content = Buffer.alloc(LIMITS.chunkBytesMax);
  while (held.bytes <= LIMITS.heldBytesMax) {
    const other = committer(store, held);
    others.push(other);
    for (let i = 0; !other.full; i += 1) {
      content.writeUInt32BE(i);
      other.addChunk(verifyContent(content, null));
    }
  }
  const late = committer(store, held);
  late.addChunk(verifyContent(content, null));
  assert.ok(late.full);
  await Promise.all([late, ...others].map((one) => one.finish()));
  assert.equal(held.bytes, 0);

  store.fail = new AppError('storage_full', 'the server has no space left');
  late.addOperation(0, mkdir('/d'), 32);
  const finished = late.finish();
  late.addOperation(1, mkdir('/e'), 32);
  await assert.rejects(finished, { code: 'storage_full' });
  await assert.rejects(late.finish(), { code: 'storage_full' });
  assert.equal(held.bytes, 0);
});
