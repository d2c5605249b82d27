import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import { RunWriter } from '../../Models/manifest_runs.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import { ChunkReader } from './chunk_reader.ts';

/** From a seeded generator. */
function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 7;
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** As a changed file is cut, guessing that it is still what it was. */
async function cut(bytes: Uint8Array, before: readonly ChunkRef[], saidBytes?: number): Promise<ChunkRef[]> {
  const readAhead = async (target: Uint8Array, position: number): Promise<number> => {
    const piece = bytes.subarray(position, position + target.length);
    target.set(piece);
    return piece.length;
  };
  const reader = new ChunkReader({ readAhead }, saidBytes);
  const against = new RunWriter(before);
  const chunks: ChunkRef[] = [];
  for (let chunk = await reader.next(against.expected); chunk !== null; chunk = await reader.next(against.expected)) {
    chunks.push({ digest: chunk.digest, length: chunk.length });
    against.add(chunk);
    chunk.release();
  }
  return chunks;
}

test('a file that something was put behind is cut as if it had always been so long', async () => {
  const bytes = randomBytes(6 << 20);
  for (const length of [300_000, LIMITS.chunkBytesMin, LIMITS.chunkBytesMin + 1, 3 << 20, 5 << 20]) {
    const before = await cut(bytes.subarray(0, length), []);
    for (const more of [1, 100_000, 1 << 20]) {
      const whole = bytes.subarray(0, length + more);
      assert.deepEqual(await cut(whole, before), await cut(whole, []), `${length} bytes and ${more} more`);
    }
  }
});

test('a file is cut the same whatever it was said to be long', async () => {
  const bytes = randomBytes(14 << 20);
  const whole = await cut(bytes, []);
  for (const said of [0, 1, 700_000, 9 << 20, bytes.length, 100 << 20]) assert.deepEqual(await cut(bytes, [], said), whole, `${said}`);
});
