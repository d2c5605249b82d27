import { closeSync, fstatSync, ftruncateSync } from 'node:fs';
import { basename } from 'node:path';
import { contentId } from '../../Models/content_id.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import type { Http } from '../http.ts';
import { fetchChunks } from './fetch_chunks.ts';
import { finishPart, localError, localIo, openPart, partPath, readFully, sha256, writeFully } from './local_files.ts';
import { fetchManifest } from './requests.ts';
import type { Wanted } from './wanted.ts';

const PULL_CHUNKS_MAX = 4096;

/**
 * Gets a file of many chunks into a part file whose name depends on the file's and the content, so that a get that was broken off goes
 * on behind the last chunk that is whole. @throws AppError `not_found`, `chunk_missing`, `digest_mismatch`, `local_io`, and what the connection throws
 */
export async function getLargeFile(http: Http, { local, remote, entry }: Wanted): Promise<void> {
  const manifest = await fetchManifest(http, remote);
  if (manifest === null) throw new AppError('not_found', `${remote}: no longer there`);
  if (!Buffer.from(manifest.digest).equals(entry.digest)) throw new AppError('not_found', `${remote}: replaced while it was being fetched`);
  checkManifest(manifest.chunks, entry);
  const part = partPath(local, sha256(Buffer.concat([entry.digest, Buffer.from(basename(local))])));
  const fd = openPart(part);
  try {
    const held = localIo(part, () => heldChunks(fd, manifest.chunks));
    await fetchRest(http, fd, part, manifest.chunks, held);
    localIo(part, () => ftruncateSync(fd, entry.size));
  } catch (error) {
    closeSync(fd);
    throw localError(part, error);
  }
  finishPart(fd, part, local, entry);
}

/**
 * The chunks are checked as they come, each against this list; so the list itself must be the one that the content id names.
 * @throws AppError `digest_mismatch`
 */
function checkManifest(chunks: readonly ChunkRef[], { size, digest }: Wanted['entry']): void {
  const possible = chunks.length > 1 && chunks.every(({ length }) => length > 0 && length <= LIMITS.chunkBytesMax);
  const sum = chunks.reduce((bytes, { length }) => bytes + length, 0);
  if (!possible || sum !== size || !Buffer.from(contentId(chunks, sha256)).equals(digest)) {
    throw new AppError('digest_mismatch', 'the chunks that the server names are not those of the content');
  }
}

async function fetchRest(
  http: Http,
  fd: number,
  part: string,
  chunks: readonly ChunkRef[],
  held: { count: number; bytes: number },
): Promise<void> {
  let position = held.bytes;
  for (let first = held.count; first < chunks.length; first += PULL_CHUNKS_MAX) {
    const asked = chunks.slice(first, first + PULL_CHUNKS_MAX);
    for await (const content of fetchChunks(http, asked)) {
      if (content === null) throw new AppError('chunk_missing', 'a part of the content cannot be read any more');
      for (const piece of content) {
        localIo(part, () => writeFully(fd, piece, position));
        position += piece.length;
      }
    }
  }
}

/** How many chunks from the start an earlier attempt left whole. */
function heldChunks(fd: number, chunks: readonly ChunkRef[]): { count: number; bytes: number } {
  const { size } = fstatSync(fd);
  let bytes = 0;
  for (const [i, { digest, length }] of chunks.entries()) {
    const content = new Uint8Array(length);
    if (bytes + length > size || readFully(fd, content, bytes) < length || !sha256(content).equals(digest)) return { count: i, bytes };
    bytes += length;
  }
  return { count: chunks.length, bytes };
}
