import { contentId } from '../../Models/content_id.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import type { Http } from '../http.ts';
import { type ByteSink, fillFrom } from './byte_file.ts';
import { fetchChunks, type PatchBase } from './fetch_chunks.ts';
import { sha256 } from './local_files.ts';

/** A chunk and where it begins in its file, bytes. `base`: what it most likely resembles. */
export type PlacedChunk = ChunkRef & { readonly position: number; readonly base?: PatchBase | null };

const PULL_CHUNKS_MAX = 4096;

/**
 * The chunks are checked as they come, each against this list; so the list itself must be the one that the content id names.
 * @throws AppError `digest_mismatch`
 */
export function checkManifest(chunks: readonly ChunkRef[], { size, digest }: { readonly size: number; readonly digest: Uint8Array }): void {
  const possible = chunks.length > 1 && chunks.every(({ length }) => length > 0 && length <= LIMITS.chunkBytesMax);
  const sum = chunks.reduce((bytes, { length }) => bytes + length, 0);
  if (!possible || sum !== size || !Buffer.from(contentId(chunks, sha256)).equals(digest)) {
    throw new AppError('digest_mismatch', 'the chunks that the server names are not those of the content');
  }
}

export function placed(chunks: readonly ChunkRef[]): PlacedChunk[] {
  let position = 0;
  return chunks.map(({ digest, length }) => {
    position += length;
    return { digest, length, position: position - length };
  });
}

/** How many chunks from the start of the file an earlier attempt left whole. */
export function heldFromStart(file: Pick<ByteSink, 'read'>, chunks: readonly PlacedChunk[]): number {
  const missing = chunks.findIndex((chunk) => !isThere(file, chunk, chunk.position));
  return missing === -1 ? chunks.length : missing;
}

function isThere(file: Pick<ByteSink, 'read'>, { digest, length }: ChunkRef, position: number): boolean {
  const content = new Uint8Array(length);
  return fillFrom(file, content, position) === length && sha256(content).equals(digest);
}

/**
 * Fetches chunks and writes each in its place once it was checked.
 * @param onWritten after each: what was told needs not be asked for again
 * @throws AppError `chunk_missing`, `digest_mismatch`, what the connection throws; and the errors of the sink
 */
export async function fetchInto(
  http: Http,
  file: Pick<ByteSink, 'write'>,
  chunks: readonly PlacedChunk[],
  onWritten: () => void = () => undefined,
): Promise<void> {
  for (let first = 0; first < chunks.length; first += PULL_CHUNKS_MAX) {
    const asked = chunks.slice(first, first + PULL_CHUNKS_MAX);
    let next = 0;
    for await (const content of fetchChunks(http, asked)) {
      if (content === null) throw new AppError('chunk_missing', 'a part of the content cannot be read any more');
      let { position } = asked[next] as PlacedChunk;
      next += 1;
      for (const piece of content) {
        file.write(piece, position);
        position += piece.length;
      }
      onWritten();
    }
  }
}
