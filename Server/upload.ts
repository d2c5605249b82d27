import { findCut } from '../Models/chunking.ts';
import { contentId } from '../Models/content_id.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkStore, VerifiedChunk } from '../Storage/chunk_store.ts';
import type { Metadata, Principal, StoredChunk } from '../Storage/metadata.ts';
import { sha256, verifyContent } from '../Storage/verified_chunk.ts';

/** What was received and is durable, but not visible to anyone before it is committed. */
export type Received = {
  readonly size: number; // bytes
  readonly digest: Buffer; // content id
  readonly chunks: readonly { readonly digest: Buffer; readonly length: number }[];
  /** The last batch, to be given to the commit. */
  readonly unrecorded: readonly StoredChunk[];
};

const CUT_WINDOW_BYTES = LIMITS.chunkBytesMax + 2 * 1024 * 1024;

/**
 * Cuts content by content, each chunk as soon as it is sure. Holds about `CUT_WINDOW_BYTES`.
 * @returns chunks in order; none for empty content
 */
export async function* cutStream(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let have = 0;
  for await (const piece of source) {
    pieces.push(piece);
    have += piece.length;
    if (have < CUT_WINDOW_BYTES) continue;
    const window = Buffer.concat(pieces, have);
    let start = 0;
    while (have - start >= LIMITS.chunkBytesMax) {
      const end = findCut(window, start, have);
      yield window.subarray(start, end);
      start = end;
    }
    pieces = [window.subarray(start)];
    have -= start;
  }
  const rest = Buffer.concat(pieces, have);
  for (let start = 0; start < have; ) {
    const end = findCut(rest, start, have);
    yield rest.subarray(start, end);
    start = end;
  }
}

/**
 * Streams content into the chunk store, in batches that are made durable and recorded, so that an upload cut off loses little.
 * @throws AppError `too_large`, `storage_full`, `storage_unavailable`, and what `source` throws
 */
export async function receiveContent(
  deps: { chunks: Pick<ChunkStore, 'append'>; metadata: Pick<Metadata, 'recordChunks'> },
  principal: Principal,
  source: AsyncIterable<Buffer>,
): Promise<Received> {
  const chunks: { digest: Buffer; length: number }[] = [];
  let batch: VerifiedChunk[] = [];
  let batchBytes = 0;
  let size = 0;

  async function store(): Promise<StoredChunk[]> {
    if (batch.length === 0) return [];
    const locations = await deps.chunks.append(batch);
    const stored = batch.map(({ digest }, i) => ({ digest, location: locationAt(locations, i) }));
    batch = [];
    batchBytes = 0;
    return stored;
  }

  for await (const content of cutStream(source)) {
    if (batchBytes + content.length > LIMITS.uploadBatchBytesMax) await deps.metadata.recordChunks(principal, await store());
    const chunk = verifyContent(content, null);
    batch.push(chunk);
    batchBytes += content.length;
    size += content.length;
    chunks.push({ digest: chunk.digest, length: content.length });
    if (chunks.length > LIMITS.fileChunksMax) throw new AppError('too_large', `a file has at most ${LIMITS.fileChunksMax} chunks`);
  }
  const digest = contentId(chunks, sha256);
  return { size, digest, chunks, unrecorded: await store() };
}

function locationAt<T>(locations: readonly T[], index: number): T {
  const location = locations[index];
  if (location === undefined) throw new AppError('internal', 'the chunk store gave too few locations');
  return location;
}
