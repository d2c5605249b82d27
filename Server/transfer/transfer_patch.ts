import { constants, zstdCompress } from 'node:zlib';
import { DIGEST_BYTES, ENCODING } from '../../Models/chunk_frames.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';

/**
 * The fast strategy with tables that hold all of a base: a byte put into a chunk of 1 MiB makes 110 bytes in 4 ms, into one of 4 MiB 400 bytes
 * in 15 ms. Smaller tables (those that belong to a level) leave out most of a long base; deeper searches take longer and find no more.
 */
const OPTIONS = {
  params: {
    [constants.ZSTD_c_compressionLevel]: 1,
    [constants.ZSTD_c_strategy]: constants.ZSTD_fast,
    [constants.ZSTD_c_windowLog]: 23, // 8 MiB: a chunk and its base, each at its longest
    [constants.ZSTD_c_hashLog]: 20,
    [constants.ZSTD_c_chainLog]: 20,
  },
};
const WORTHWHILE = 0.9;

/**
 * The frame that tells `content` by what differs from `base`; `null` where that would not be clearly shorter, or cannot be done (a base that
 * looks like one of zstd's own dictionaries).
 */
export function patchFrame(
  digest: Buffer,
  content: Buffer,
  base: { readonly digest: Buffer; readonly content: Buffer },
): Promise<Buffer | null> {
  return new Promise((resolve) => {
    zstdCompress(content, { ...OPTIONS, dictionary: base.content }, (error, patch) => {
      if (error !== null || patch.length > content.length * WORTHWHILE) {
        resolve(null);
        return;
      }
      const writer = new FrameWriter(patch.length + 2 * DIGEST_BYTES + 16);
      writer.begin(FRAME.chunk).u8(ENCODING.patch).bytes(digest).u32(content.length).bytes(base.digest).bytes(patch).finish();
      resolve(Buffer.from(writer.take()));
    });
  });
}
