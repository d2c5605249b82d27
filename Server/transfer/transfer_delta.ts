import { zstdDecompress } from 'node:zlib';
import { chunkBody, DIGEST_BYTES, ENCODING, readChunkHeader } from '../../Models/chunk_frames.ts';
import { applyDelta, signatureOf } from '../../Models/delta.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, type Frame, FrameWriter, joinBytes, PayloadReader } from '../../Models/frames.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { ChunkStore, VerifiedChunk } from '../../Storage/chunk_store.ts';
import type { Metadata, Principal } from '../../Storage/metadata.ts';
import { readStoredChunk, sha256, verifyContent, verifyRawFrame } from '../../Storage/verified_chunk.ts';

type Deps = { readonly metadata: Pick<Metadata, 'locate'>; readonly chunks: Pick<ChunkStore, 'read'> };

/** Signatures of chunks in the order asked; one that the caller cannot read has a signature of no bytes. */
export async function* signatureFrames(deps: Deps, principal: Principal, digests: readonly Buffer[]): AsyncGenerator<Uint8Array> {
  const locations = await deps.metadata.locate(principal, digests);
  for (const [i, digest] of digests.entries()) {
    const location = locations[i] ?? null;
    const writer = new FrameWriter(4096).begin(FRAME.signature);
    if (location !== null) writer.bytes(signatureOf(await readStoredChunk(deps.chunks, digest, location), sha256));
    yield writer.finish().take();
  }
}

/**
 * A chunk of a push as it will be stored, whatever form it came in.
 * @throws AppError `digest_mismatch`, `chunk_missing` (the base of a delta), `frame_invalid`, `length_mismatch`, `too_large`
 */
export async function decodeChunk(deps: Deps, principal: Principal, frame: Frame): Promise<VerifiedChunk> {
  const { encoding, digest } = readChunkHeader(frame);
  if (encoding === ENCODING.raw) return verifyRawFrame(frame);
  if (encoding === ENCODING.patch) throw new AppError('frame_invalid', 'a patch occurs only in a pull');
  const reader = new PayloadReader(joinBytes(chunkBody(frame)));
  const length = reader.u32();
  if (length > LIMITS.chunkBytesMax) throw new AppError('too_large', `a chunk has at most ${LIMITS.chunkBytesMax} bytes`);
  if (encoding === ENCODING.zstd) return verifyContent(await decompress(reader.bytes(reader.remaining), length), digest);
  const baseDigest = Buffer.from(reader.bytes(DIGEST_BYTES));
  const [location] = await deps.metadata.locate(principal, [baseDigest]);
  if (location === undefined || location === null) throw new AppError('chunk_missing', 'the chunk that a delta is based on is not here');
  const base = await readStoredChunk(deps.chunks, baseDigest, location);
  return verifyContent(applyDelta(reader.bytes(reader.remaining), base, length), digest);
}

/** @param length what comes out, so that a bomb stops at the size it admitted to */
function decompress(bytes: Uint8Array, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    zstdDecompress(bytes, { maxOutputLength: Math.max(length, 1) }, (cause, content) => {
      if (cause !== null) reject(new AppError('frame_invalid', 'a compressed chunk cannot be opened', { cause }));
      else if (content.length !== length) reject(new AppError('length_mismatch', 'a compressed chunk is not as long as declared'));
      else resolve(content);
    });
  });
}
