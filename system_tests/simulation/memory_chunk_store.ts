import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { ChunkLocation, ChunkStore, VerifiedChunk } from '../../Storage/chunk_store.ts';

type Piece = { readonly offset: number; readonly bytes: Buffer };
type Pack = { length: number; readonly pieces: Piece[] };

/** Packs in memory. Several stores on the same packs are as one that was closed and opened again. */
export class MemoryPacks {
  readonly packs = new Map<string, Pack>();
  current = '';
}

/** @throws AppError `corrupt` */
export function readPack({ packs }: MemoryPacks, { pack, offset, length }: ChunkLocation): Buffer {
  const there = packs.get(pack);
  if (there === undefined || offset + length > there.length) throw new AppError('corrupt', `pack ${pack} is shorter than asked`);
  const bytes = Buffer.alloc(length);
  for (let at = firstPiece(there.pieces, offset); at < there.pieces.length; at += 1) {
    const piece = there.pieces[at];
    if (piece === undefined || piece.offset >= offset + length) break;
    const from = Math.max(0, offset - piece.offset);
    piece.bytes.copy(bytes, piece.offset + from - offset, from);
  }
  return bytes;
}

export function memoryChunkStore(memory: MemoryPacks): ChunkStore {
  function place(chunk: VerifiedChunk): ChunkLocation {
    let pack = memory.packs.get(memory.current);
    if (pack === undefined || pack.length >= LIMITS.packBytesMax) {
      memory.current = String(memory.packs.size + 1).padStart(32, '0');
      pack = { length: 0, pieces: [] };
      memory.packs.set(memory.current, pack);
    }
    const location = { pack: memory.current, offset: pack.length, length: chunk.length };
    for (const bytes of chunk.frame) {
      pack.pieces.push({ offset: pack.length, bytes: Buffer.from(bytes) });
      pack.length += bytes.length;
    }
    return location;
  }

  return {
    copies: 1,
    append: async (chunks) => chunks.map(place),
    sync: async () => undefined,
    read: async (location) => readPack(memory, location),
    close: async () => undefined,
  };
}

/** Index of the piece that holds `offset`. */
function firstPiece(pieces: readonly Piece[], offset: number): number {
  let low = 0;
  let high = pieces.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((pieces[middle]?.offset ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
