import { createHash, hash } from 'node:crypto';
import { CHUNK_FRAME_HEADER_BYTES, chunkBody, ENCODING, readChunkHeader, writeRawChunkHeader } from '../Models/chunk_frames.ts';
import { AppError } from '../Models/errors.ts';
import type { Frame } from '../Models/frames.ts';
import { LIMITS } from '../Models/limits.ts';
import { type ChunkLocation, type ChunkStore, VERIFIED, type VerifiedChunk } from './chunk_store.ts';

export function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}

/**
 * Checks that a received raw chunk frame holds what its digest says; the frame itself is then stored, nothing is copied.
 * @throws AppError `digest_mismatch`, `frame_invalid`, `too_large`
 */
export function verifyRawFrame(frame: Frame): VerifiedChunk {
  const { encoding, digest } = readChunkHeader(frame);
  if (encoding !== ENCODING.raw) throw new AppError('frame_invalid', 'this chunk frame is not raw');
  const body = chunkBody(frame);
  const length = checkLength(body.reduce((sum, piece) => sum + piece.length, 0));
  const only = body.length === 1 ? body[0] : undefined;
  const actual = only !== undefined ? sha256(only) : hashPieces(body);
  const claimed = asBuffer(digest);
  if (!actual.equals(claimed)) throw new AppError('digest_mismatch', 'a chunk does not have the digest it came with');
  return { digest: actual, frame: frame.pieces.map(asBuffer), length, verified: VERIFIED };
}

/**
 * Makes a storable chunk of content.
 * @param claimed the digest the sender gave, if any
 * @throws AppError `digest_mismatch`, `too_large`
 */
export function verifyContent(content: Uint8Array, claimed: Uint8Array | null): VerifiedChunk {
  const length = checkLength(content.length);
  const digest = sha256(content);
  if (claimed !== null && !digest.equals(claimed)) throw new AppError('digest_mismatch', 'a chunk does not have the digest it came with');
  const header = Buffer.allocUnsafe(CHUNK_FRAME_HEADER_BYTES);
  writeRawChunkHeader(header, 0, digest, length);
  return { digest, frame: [header, asBuffer(content)], length, verified: VERIFIED };
}

/** The content of a chunk, read and checked again. @throws AppError `corrupt`, `storage_unavailable` */
export async function readStoredChunk(chunks: Pick<ChunkStore, 'read'>, digest: Buffer, location: ChunkLocation): Promise<Buffer> {
  const { pack, offset, length } = location;
  return openStoredFrame(await chunks.read({ pack, offset, length: CHUNK_FRAME_HEADER_BYTES + length }), digest);
}

/** The content of a stored frame, checked again. @throws AppError `corrupt` */
export function openStoredFrame(frame: Buffer, digest: Buffer): Buffer {
  const content = frame.subarray(CHUNK_FRAME_HEADER_BYTES);
  if (!sha256(content).equals(digest)) throw new AppError('corrupt', 'a stored chunk is damaged');
  return content;
}

function hashPieces(pieces: readonly Uint8Array[]): Buffer {
  const running = createHash('sha256');
  for (const piece of pieces) running.update(piece);
  return running.digest();
}

function checkLength(length: number): number {
  if (length === 0) throw new AppError('frame_invalid', 'a chunk cannot be empty');
  if (length > LIMITS.chunkBytesMax) throw new AppError('too_large', `a chunk has at most ${LIMITS.chunkBytesMax} bytes`);
  return length;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
