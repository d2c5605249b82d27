import type { ChunkRef } from './operations.ts';

/**
 * What a file's content id is the SHA-256 of: of the content itself when that is one chunk (or empty), else of this preimage:
 * the ASCII text `driftless manifest 1` and a zero byte, then for each chunk its digest (32 bytes) and its length (u32, big-endian).
 * So equal content cut the same way has one id, and checking each chunk checks the file.
 */
const TAG = new TextEncoder().encode('driftless manifest 1\0');

export function contentIdPreimage(chunks: readonly ChunkRef[]): Uint8Array {
  const bytes = new Uint8Array(TAG.length + chunks.length * 36);
  bytes.set(TAG);
  const view = new DataView(bytes.buffer);
  let at = TAG.length;
  for (const chunk of chunks) {
    bytes.set(chunk.digest, at);
    view.setUint32(at + 32, chunk.length);
    at += 36;
  }
  return bytes;
}

/** SHA-256 of no bytes: the content id of an empty file. */
export const EMPTY_DIGEST_HEX = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** @param sha256 the platform's SHA-256: node:crypto here, WebCrypto in a browser wraps its own */
export function contentId<T extends Uint8Array>(
  chunks: readonly { readonly digest: T; readonly length: number }[],
  sha256: (bytes: Uint8Array) => T,
): T {
  const only = chunks.length === 1 ? chunks[0] : undefined;
  if (only !== undefined) return only.digest;
  return chunks.length === 0 ? sha256(new Uint8Array(0)) : sha256(contentIdPreimage(chunks));
}
