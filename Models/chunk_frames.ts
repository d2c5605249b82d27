import { AppError } from './errors.ts';
import { FRAME, FRAME_HEADER_BYTES, type Frame } from './frames.ts';
import { LIMITS } from './limits.ts';

/**
 * Payload of a chunk frame: encoding (u8), digest (32), and by encoding
 *   raw    the content
 *   zstd   length of the content (u32), a zstd frame
 *   delta  length of the content (u32), digest of the base chunk (32), a script of Models/delta.ts
 *   patch  length of the content (u32), digest of the base chunk (32), a zstd frame whose dictionary is the content of the base
 * At rest only raw occurs, so that what a pack holds can be sent as it lies there. A patch occurs only in a pull that names bases.
 */
export const ENCODING = { raw: 0, zstd: 1, delta: 2, patch: 3 } as const;

export const DIGEST_BYTES = 32;
export const CHUNK_FRAME_HEADER_BYTES = FRAME_HEADER_BYTES + 1 + DIGEST_BYTES;

/** Writes the header of a raw chunk frame at `at`; the content follows at `at + CHUNK_FRAME_HEADER_BYTES`. */
export function writeRawChunkHeader(target: Uint8Array, at: number, digest: Uint8Array, contentBytes: number): void {
  const length = 1 + DIGEST_BYTES + contentBytes;
  target[at] = FRAME.chunk;
  target[at + 1] = length >>> 24;
  target[at + 2] = length >>> 16;
  target[at + 3] = length >>> 8;
  target[at + 4] = length;
  target[at + 5] = ENCODING.raw;
  target.set(digest, at + 6);
}

/** The fixed part of a chunk frame. `T` is `Buffer` where buffers came in. */
export type ChunkHeader = { readonly encoding: number; readonly digest: Uint8Array };

/** @throws AppError `frame_invalid` */
export function readChunkHeader(frame: Frame): ChunkHeader {
  if (frame.length < 1 + DIGEST_BYTES) throw new AppError('frame_invalid', 'a chunk frame is too short');
  const first = frame.pieces[0] as Uint8Array;
  const header = first.length >= CHUNK_FRAME_HEADER_BYTES ? first : gather(frame.pieces, 0, CHUNK_FRAME_HEADER_BYTES);
  const encoding = header[FRAME_HEADER_BYTES] as number;
  if (encoding > ENCODING.patch) throw new AppError('frame_invalid', `unknown chunk encoding ${encoding}`);
  const contentBytes = frame.length - 1 - DIGEST_BYTES;
  if (contentBytes > LIMITS.chunkBytesMax + 64) throw new AppError('too_large', `a chunk has at most ${LIMITS.chunkBytesMax} bytes`);
  return { encoding, digest: header.subarray(FRAME_HEADER_BYTES + 1, CHUNK_FRAME_HEADER_BYTES) };
}

/** The slices of a chunk frame behind its fixed part, nothing copied. */
export function chunkBody(frame: Frame): Uint8Array[] {
  const body: Uint8Array[] = [];
  let skip = CHUNK_FRAME_HEADER_BYTES;
  for (const piece of frame.pieces) {
    if (skip >= piece.length) skip -= piece.length;
    else {
      body.push(skip === 0 ? piece : piece.subarray(skip));
      skip = 0;
    }
  }
  return body;
}

/** Bytes `[from, to)` of consecutive pieces, copied. */
function gather(pieces: readonly Uint8Array[], from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from);
  let at = 0;
  for (const piece of pieces) {
    const start = Math.max(from - at, 0);
    const end = Math.min(to - at, piece.length);
    if (start < end) bytes.set(piece.subarray(start, end), at + start - from);
    at += piece.length;
  }
  return bytes;
}
