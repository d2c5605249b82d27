import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { CHUNK_FRAME_HEADER_BYTES } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import type { ChunkLocation, ChunkStore, VerifiedChunk } from '../chunk_store.ts';
import { openStoredFrame, verifyContent } from '../verified_chunk.ts';

async function readBack(store: ChunkStore, location: ChunkLocation, chunk: VerifiedChunk): Promise<Buffer> {
  const frame = await store.read({ pack: location.pack, offset: location.offset, length: CHUNK_FRAME_HEADER_BYTES + location.length });
  return openStoredFrame(frame, chunk.digest);
}

/** What every chunk store must do. @param reopen closes the store and opens it again on the same bytes */
export function chunkStoreContract(
  name: string,
  open: () => Promise<{ store: ChunkStore; reopen: (store: ChunkStore) => Promise<ChunkStore> }>,
): void {
  const contents = [1, 2, 4096, 70_000, 1 << 20, 4 << 20].map((bytes) => randomBytes(bytes));

  test(`${name}: what was appended is read back, also after a restart`, async () => {
    const { store, reopen } = await open();
    const chunks = contents.map((content) => verifyContent(content, null));
    const locations = await store.append(chunks);
    assert.ok(Number.isSafeInteger(store.copies) && store.copies >= 1);
    const readAll = async (opened: ChunkStore): Promise<void> => {
      for (const [i, location] of locations.entries()) {
        assert.ok((await readBack(opened, location, chunks[i] as VerifiedChunk)).equals(contents[i] as Buffer));
      }
    };
    await readAll(store);
    const again = await reopen(store);
    await readAll(again);
    await again.close();
  });

  test(`${name}: chunks of one append lie side by side, so that one read brings them all`, async () => {
    const { store } = await open();
    const chunks = contents.slice(0, 4).map((content) => verifyContent(content, null));
    const locations = await store.append(chunks);
    const first = locations[0] as ChunkLocation;
    const length = chunks.reduce((sum, chunk) => sum + chunk.length + CHUNK_FRAME_HEADER_BYTES, 0);
    const bytes = await store.read({ pack: first.pack, offset: first.offset, length });
    assert.ok(bytes.equals(Buffer.concat(chunks.flatMap((chunk) => chunk.frame))));
    await store.close();
  });

  test(`${name}: appends at the same time do not mix`, async () => {
    const { store } = await open();
    const appends = Array.from({ length: 40 }, () =>
      Array.from({ length: 5 }, () => verifyContent(randomBytes(1 + Math.floor(Math.random() * 9000)), null)),
    );
    const located = await Promise.all(appends.map((chunks) => store.append(chunks)));
    for (const [i, locations] of located.entries()) {
      for (const [k, location] of locations.entries()) await readBack(store, location, appends[i]?.[k] as VerifiedChunk);
    }
    await store.close();
  });

  test(`${name}: packs end near their length and what lies in earlier ones stays readable`, async () => {
    const { store } = await open();
    const batch = Array.from({ length: 4 }, () => verifyContent(randomBytes(4 << 20), null));
    const packs = new Set<string>();
    const first = (await store.append(batch))[0] as ChunkLocation;
    for (let i = 0; i < 5; i += 1) for (const { pack } of await store.append(batch)) packs.add(pack);
    assert.equal(packs.size, 2);
    await readBack(store, first, batch[0] as VerifiedChunk);
    await store.close();
  });

  test(`${name}: what is appended to be durable later is read back after a sync, over several packs`, async () => {
    const { store, reopen } = await open();
    const chunks = Array.from({ length: 36 }, () => verifyContent(randomBytes(4 << 20), null));
    const locations: ChunkLocation[] = [];
    for (let i = 0; i < chunks.length; i += 4) locations.push(...(await store.append(chunks.slice(i, i + 4), 'later')));
    assert.ok(new Set(locations.map(({ pack }) => pack)).size > 2);
    await store.sync();
    const again = await reopen(store);
    for (const [i, location] of locations.entries()) await readBack(again, location, chunks[i] as VerifiedChunk);
    await again.sync();
    await again.close();
  });

  test(`${name}: reading what is not there is corrupt, not empty`, async () => {
    const { store } = await open();
    const [location] = await store.append([verifyContent(Buffer.from('x'), null)]);
    const corrupt = (error: unknown): boolean => error instanceof AppError && error.code === 'corrupt';
    await assert.rejects(store.read({ pack: (location as ChunkLocation).pack, offset: 0, length: 1000 }), corrupt);
    await assert.rejects(store.read({ pack: '0'.repeat(32), offset: 0, length: 10 }), corrupt);
    await store.close();
  });
}
