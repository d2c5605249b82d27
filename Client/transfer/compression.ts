import { constants, zstdCompressSync } from 'node:zlib';
import { DIGEST_BYTES, ENCODING } from '../../Models/chunk_frames.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';

const SAMPLE_BYTES = 16 * 1024;
const WORTHWHILE = 0.9;
const MIN_BYTES = 256;
const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** The chunk frame with the content compressed; `null` where that would not make it clearly shorter. */
export function compressChunk(content: Uint8Array, digest: Uint8Array): Uint8Array | null {
  if (content.length < MIN_BYTES) return null;
  // already compressed content shows in a sample
  if (content.length > 2 * SAMPLE_BYTES) {
    const start = (content.length - SAMPLE_BYTES) >>> 1;
    if (zstdCompressSync(content.subarray(start, start + SAMPLE_BYTES), OPTIONS).length > SAMPLE_BYTES * WORTHWHILE) return null;
  }
  const compressed = zstdCompressSync(content, OPTIONS);
  if (compressed.length > content.length * WORTHWHILE) return null;
  const writer = new FrameWriter(compressed.length + DIGEST_BYTES + 16);
  return writer.begin(FRAME.chunk).u8(ENCODING.zstd).bytes(digest).u32(content.length).bytes(compressed).finish().take();
}
