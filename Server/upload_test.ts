import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { findCut } from '../Models/chunking.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkLocation, VerifiedChunk } from '../Storage/chunk_store.ts';
import type { Principal, StoredChunk } from '../Storage/metadata.ts';
import { type Received, receiveContent } from './upload.ts';

/** Reproducible bytes without end: SHA-256 of the seed and a counter. */
function bytesOf(seed: string, length: number): Buffer {
  const block = createHash('sha256').update(seed).digest();
  const bytes = Buffer.alloc(length);
  let state = block.readUInt32LE(0) | 1;
  for (let i = 0; i + 4 <= length; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state, i);
  }
  return bytes;
}

async function* inPieces(content: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes);
}

function wholeCuts(content: Buffer): number[] {
  const ends: number[] = [];
  for (let start = 0; start < content.length; ) {
    start = findCut(content, start, content.length);
    ends.push(start);
  }
  return ends;
}

/** Stores that keep what they are given, in the order of the calls. */
function memoryStores() {
  const contents = new Map<string, Buffer>();
  const events: string[] = [];
  return {
    contents,
    events,
    chunks: {
      async append(batch: readonly VerifiedChunk[]): Promise<ChunkLocation[]> {
        events.push('append');
        for (const { digest, frame, length } of batch) contents.set(digest.toString('hex'), Buffer.concat(frame).subarray(-length));
        return batch.map((chunk, i) => ({ pack: 'p', offset: i, length: chunk.length }));
      },
    },
    metadata: {
      async have(_principal: Principal, digests: readonly Buffer[]): Promise<boolean[]> {
        return digests.map((digest) => contents.has(digest.toString('hex')));
      },
      async recordChunks(_principal: Principal, stored: readonly StoredChunk[]): Promise<void> {
        assert.ok(stored.length > 0);
        events.push('record');
      },
    },
  };
}

const principal = { userId: 'u', userName: 'n', deviceId: 'd' };

function contentOf(stores: ReturnType<typeof memoryStores>, { chunks }: Received): Buffer {
  return Buffer.concat(chunks.map(({ digest }) => stores.contents.get(digest.toString('hex')) ?? assert.fail('a chunk was not stored')));
}

test('content that comes in pieces is cut where the whole would be cut', async () => {
  const seed = randomBytes(4).toString('hex');
  console.log(`seed ${seed}`);
  for (const length of [0, 1, LIMITS.chunkBytesMin, LIMITS.chunkBytesMin + 1, LIMITS.uploadWindowBytes, 25_000_001]) {
    const content = bytesOf(seed, length);
    for (const pieceBytes of [1 << 16, 11_000_000]) {
      const stores = memoryStores();
      const received = await receiveContent(stores, principal, inPieces(content, pieceBytes));
      let end = 0;
      const ends = received.chunks.map((chunk) => {
        end += chunk.length;
        return end;
      });
      assert.deepEqual(ends, wholeCuts(content), `${length} bytes in pieces of ${pieceBytes}`);
      assert.ok(contentOf(stores, received).equals(content));
      assert.equal(received.size, length);
    }
  }
});

test('a long upload is stored a window at a time, each durable and recorded before the next; the last is left for the commit', async () => {
  const stores = memoryStores();
  const received = await receiveContent(stores, principal, inPieces(bytesOf('windows', 4 * LIMITS.uploadWindowBytes), 1 << 16));
  assert.ok(stores.events.length >= 7);
  for (const [i, event] of stores.events.entries()) assert.equal(event, i % 2 === 0 ? 'append' : 'record');
  assert.equal(stores.events.at(-1), 'append');
  assert.ok(received.unrecorded.length > 0);
});

test('content that the caller has, or that repeats itself, is stored once', async () => {
  const stores = memoryStores();
  const zeros = Buffer.alloc(30_000_000);
  const first = await receiveContent(stores, principal, inPieces(zeros, 1 << 16));
  assert.ok(first.chunks.length > 6 && stores.contents.size <= 2);
  assert.ok(contentOf(stores, first).equals(zeros));
  const again = await receiveContent(stores, principal, inPieces(zeros, 1 << 16));
  assert.deepEqual(again.unrecorded, []);
  assert.deepEqual(again.digest, first.digest);
});

test('a failing store ends the upload with its own error', async () => {
  const full = new Error('no space');
  const stores = { ...memoryStores(), chunks: { append: () => Promise.reject(full) } };
  await assert.rejects(receiveContent(stores, principal, inPieces(bytesOf('full', 1000), 100)), full);
});
