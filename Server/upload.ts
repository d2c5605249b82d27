import { contentId } from '../Models/content_id.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkStore, VerifiedChunk } from '../Storage/chunk_store.ts';
import type { Metadata, Principal, StoredChunk } from '../Storage/metadata.ts';
import { sha256, verifyContent } from '../Storage/verified_chunk.ts';
import { UploadWindow } from './transfer/upload_window.ts';

/** What was received and is durable, but not visible to anyone before it is committed. */
export type Received = {
  readonly size: number; // bytes
  readonly digest: Buffer; // content id
  readonly chunks: readonly { readonly digest: Buffer; readonly length: number }[];
  /** The last batch, to be given to the commit. */
  readonly unrecorded: readonly StoredChunk[];
};

export type ReceiveDeps = { readonly chunks: Pick<ChunkStore, 'append'>; readonly metadata: Pick<Metadata, 'recordChunks' | 'have'> };

/**
 * Streams content into the chunk store, a window at a time: each is durable and recorded before the next, so that an upload cut off
 * loses little. Holds no more than `LIMITS.uploadWindowBytes` of it.
 * @throws AppError `too_large`, `storage_full`, `storage_unavailable`, and what `source` throws
 */
export async function receiveContent(deps: ReceiveDeps, principal: Principal, source: AsyncIterable<Buffer>): Promise<Received> {
  const window = new UploadWindow();
  const chunks: { digest: Buffer; length: number }[] = [];

  async function storeCut(last: boolean): Promise<StoredChunk[]> {
    const cut = window.cut(last).map((content) => verifyContent(content, null));
    for (const { digest, length } of cut) chunks.push({ digest, length });
    if (chunks.length > LIMITS.fileChunksMax) throw new AppError('too_large', `a file has at most ${LIMITS.fileChunksMax} chunks`);
    const stored = await storeMissing(deps, principal, cut);
    window.forget();
    return stored;
  }

  for await (const piece of source) {
    for (let at = 0; at < piece.length; ) {
      const next = window.add(piece, at);
      if (next === at) await record(deps, principal, await storeCut(false));
      at = next;
    }
  }
  const unrecorded = await storeCut(true);
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return { size, digest: contentId(chunks, sha256), chunks, unrecorded };
}

/** A chunk that the caller has already is not stored again. */
async function storeMissing(deps: ReceiveDeps, principal: Principal, cut: readonly VerifiedChunk[]): Promise<StoredChunk[]> {
  const unique = [...new Map(cut.map((chunk) => [chunk.digest.toString('hex'), chunk])).values()];
  if (unique.length === 0) return [];
  const held = await deps.metadata.have(
    principal,
    unique.map((chunk) => chunk.digest),
  );
  const missing = unique.filter((_, i) => held[i] !== true);
  const locations = await deps.chunks.append(missing);
  return missing.map(({ digest }, i) => {
    const location = locations[i];
    if (location === undefined) throw new AppError('internal', 'the chunk store gave too few locations');
    return { digest, location };
  });
}

async function record({ metadata }: ReceiveDeps, principal: Principal, stored: readonly StoredChunk[]): Promise<void> {
  if (stored.length > 0) await metadata.recordChunks(principal, stored);
}
