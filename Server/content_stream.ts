import { AppError } from '../Models/errors.ts';
import type { ChunkLocation, ChunkStore } from '../Storage/chunk_store.ts';
import type { Manifest, Metadata, Principal } from '../Storage/metadata.ts';
import { readStoredChunk } from '../Storage/verified_chunk.ts';
import type { ByteRange } from './byte_range.ts';

type Deps = { readonly chunks: Pick<ChunkStore, 'read'>; readonly metadata: Pick<Metadata, 'locate'> };
type Wanted = { readonly digest: Buffer; readonly length: number; readonly from: number; readonly to: number };

const LOCATED_AT_ONCE = 256;

/**
 * Bytes of a file, chunk by chunk as the reader takes them; each chunk is hashed again before any of it is given out.
 * @throws AppError `corrupt`, `chunk_missing` (the right to read was taken away meanwhile), `storage_unavailable`
 */
export async function* readContent(deps: Deps, principal: Principal, manifest: Manifest, range: ByteRange): AsyncGenerator<Buffer> {
  const wanted = chunksIn(manifest, range);
  for (let first = 0; first < wanted.length; first += LOCATED_AT_ONCE) {
    const group = wanted.slice(first, first + LOCATED_AT_ONCE);
    const locations = await deps.metadata.locate(
      principal,
      group.map((chunk) => chunk.digest),
    );
    for (const [i, chunk] of group.entries()) {
      const location = locations[i];
      if (location === undefined || location === null) throw new AppError('chunk_missing', 'a part of the file cannot be read any more');
      const content = await readChunk(deps.chunks, location, chunk);
      yield content.subarray(chunk.from, chunk.to);
    }
  }
}

/** The chunks that hold bytes of `range`, with the part of each that is wanted. */
function chunksIn(manifest: Manifest, range: ByteRange): Wanted[] {
  const wanted: Wanted[] = [];
  let start = 0;
  for (const { digest, length } of manifest.chunks) {
    const from = Math.max(range.start - start, 0);
    const to = Math.min(range.end - start, length);
    if (from < to) wanted.push({ digest, length, from, to });
    start += length;
    if (start >= range.end) break;
  }
  return wanted;
}

async function readChunk(chunks: Deps['chunks'], location: ChunkLocation, { digest, length }: Wanted): Promise<Buffer> {
  if (location.length !== length) throw new AppError('corrupt', 'a stored chunk has another length than the file says');
  return readStoredChunk(chunks, digest, location);
}
