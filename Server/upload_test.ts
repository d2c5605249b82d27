import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { findCut } from '../Models/chunking.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkLocation, VerifiedChunk } from '../Storage/chunk_store.ts';
import type { StoredChunk } from '../Storage/metadata.ts';
import { cutStream, receiveContent } from './upload.ts';

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

test('content that comes in pieces is cut where the whole would be cut', async () => {
  const seed = randomBytes(4).toString('hex');
  console.log(`seed ${seed}`);
  for (const length of [0, 1, LIMITS.chunkBytesMin, LIMITS.chunkBytesMin + 1, LIMITS.chunkBytesMax + 1, 15_000_001]) {
    const content = bytesOf(seed, length);
    for (const pieceBytes of [1 << 16, 5_000_000]) {
      const cut: Buffer[] = [];
      for await (const chunk of cutStream(inPieces(content, pieceBytes))) cut.push(Buffer.from(chunk));
      let end = 0;
      assert.deepEqual(
        cut.map((chunk) => (end += chunk.length)),
        wholeCuts(content),
        `${length} bytes in pieces of ${pieceBytes}`,
      );
      assert.ok(Buffer.concat(cut).equals(content));
    }
  }
});

test('a long upload is stored in batches, each durable and recorded before the next; the last is left for the commit', async () => {
  const events: string[] = [];
  let appended = 0;
  const chunks = {
    async append(batch: readonly VerifiedChunk[]): Promise<ChunkLocation[]> {
      const bytes = batch.reduce((sum, chunk) => sum + chunk.length, 0);
      assert.ok(bytes <= LIMITS.uploadBatchBytesMax);
      appended += bytes;
      events.push('append');
      return batch.map((chunk, i) => ({ pack: 'p', offset: i, length: chunk.length }));
    },
  };
  const metadata = {
    async recordChunks(_principal: unknown, stored: readonly StoredChunk[]): Promise<void> {
      assert.ok(stored.length > 0);
      events.push('record');
    },
  };
  const content = bytesOf('batches', 3 * LIMITS.uploadBatchBytesMax);
  const principal = { userId: 'u', userName: 'n', deviceId: 'd' };
  const received = await receiveContent({ chunks, metadata }, principal, inPieces(content, 1 << 16));
  assert.equal(appended, content.length);
  assert.equal(received.size, content.length);
  assert.equal(events.at(-1), 'append');
  assert.ok(events.length >= 7);
  for (const [i, event] of events.entries()) assert.equal(event, i % 2 === 0 ? 'append' : 'record');
  assert.equal(
    received.chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    content.length,
  );
});

test('a failing store ends the upload with its own error', async () => {
  const full = new Error('no space');
  const deps = { chunks: { append: () => Promise.reject(full) }, metadata: { recordChunks: async () => undefined } };
  const principal = { userId: 'u', userName: 'n', deviceId: 'd' };
  await assert.rejects(receiveContent(deps, principal, inPieces(bytesOf('full', 1000), 100)), full);
});
