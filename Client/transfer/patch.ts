import { zstdDecompress } from 'node:zlib';
import { DIGEST_BYTES } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { PayloadReader } from '../../Models/frames.ts';

/**
 * The content that a patch (Models/chunk_frames.ts) makes of its base; whoever calls checks the digest of what comes out.
 * @param body the frame behind its fixed part
 * @param length of the content, known beforehand: more never comes out
 * @throws AppError `digest_mismatch`: made for another base or another content, or damaged on the way
 */
export function applyPatch(
  body: Uint8Array,
  base: { readonly digest: Uint8Array; readonly content: Uint8Array },
  length: number,
): Promise<Buffer> {
  const reader = new PayloadReader(body);
  const declared = reader.u32();
  const baseDigest = reader.bytes(DIGEST_BYTES);
  const damaged = (cause?: unknown): AppError => new AppError('digest_mismatch', 'a patch does not fit what it is for', { cause });
  if (declared !== length || !Buffer.from(baseDigest).equals(base.digest)) return Promise.reject(damaged());
  return new Promise((resolve, reject) => {
    const options = { dictionary: base.content, maxOutputLength: Math.max(length, 1) };
    zstdDecompress(reader.bytes(reader.remaining), options, (cause, content) => {
      if (cause !== null || content.length !== length) reject(damaged(cause));
      else resolve(content);
    });
  });
}
