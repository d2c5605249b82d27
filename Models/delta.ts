import { AppError } from './errors.ts';
import { type FrameWriter, PayloadReader } from './frames.ts';
import { LIMITS } from './limits.ts';

/**
 * Sends a changed chunk as copies out of a chunk that the other side holds, and the bytes that are new. The holder cuts its chunk into
 * blocks and tells a weak and a strong hash of each (the signature); the sender rolls the weak hash over the new bytes.
 * The receiver checks the SHA-256 of what comes out, so a false match costs a repetition, never a wrong byte.
 * @see Tridgell, "Efficient Algorithms for Sorting and Synchronization", 1999, chapter 3
 *
 * Signature: length of the chunk (u32); for each block its weak hash (u32) and the first two bytes of the strong one. Blocks follow one
 * another, each 16 KiB or a 96th of the chunk, whichever is more; but the last one ends where the chunk ends and so overlaps the one before it.
 * Script: u8 0, offset u32, length u32: copy of the base · u8 1, length u32, bytes: new bytes. The pieces follow one another.
 */
const STRONG_BYTES = 2;
const SIGNATURE_HEADER_BYTES = 4;
const SIGNATURE_ENTRY_BYTES = 4 + STRONG_BYTES;

export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** @returns the signature of `base`; of one shorter than a block only its length */
export function signatureOf(base: Uint8Array, sha256: Sha256): Uint8Array {
  const blocks = blockCount(base.length);
  const block = blockBytes(base.length);
  const signature = new Uint8Array(SIGNATURE_HEADER_BYTES + blocks * SIGNATURE_ENTRY_BYTES);
  const view = new DataView(signature.buffer);
  view.setUint32(0, base.length);
  for (let i = 0; i < blocks; i += 1) {
    const start = blockStart(i, base.length);
    const { a, b } = weakHash(base, start, block);
    const at = SIGNATURE_HEADER_BYTES + i * SIGNATURE_ENTRY_BYTES;
    view.setUint32(at, ((b << 16) | a) >>> 0);
    signature.set(sha256(base.subarray(start, start + block)).subarray(0, STRONG_BYTES), at + 4);
  }
  return signature;
}

/** A signature has at most 96 entries, so that a byte put into the longest chunk is still told in a few hundred bytes. */
function blockBytes(baseBytes: number): number {
  return Math.max(LIMITS.deltaBlockBytes, Math.ceil(baseBytes / LIMITS.deltaBlocksMax));
}

function blockCount(baseBytes: number): number {
  const block = blockBytes(baseBytes);
  return baseBytes < block ? 0 : Math.ceil(baseBytes / block);
}

function blockStart(index: number, baseBytes: number): number {
  const block = blockBytes(baseBytes);
  return Math.min(index * block, baseBytes - block);
}

/**
 * Writes the script that makes `content` out of the chunk with this signature, as the rest of an open frame.
 * @returns how many bytes of `content` are in the script as new bytes
 */
export function writeDelta(writer: FrameWriter, content: Uint8Array, signature: Uint8Array, sha256: Sha256): number {
  const blocks = new SignatureIndex(signature, sha256);
  const { block } = blocks;
  const script = new ScriptWriter(writer, content);
  let at = 0;
  let a = 0;
  let b = 0;
  let fresh = true; // the hash is not that of the window at `at`
  while (at + block <= content.length) {
    if (fresh) ({ a, b } = weakHash(content, at, block));
    const offset = blocks.find(content, at, (b << 16) | a, script.expected);
    fresh = offset >= 0;
    if (fresh) {
      script.copy(offset, at, block);
      at += block;
    } else {
      const out = content[at] as number;
      a = (a - out + (content[at + block] ?? 0)) & 0xffff;
      b = (b - block * out + a) & 0xffff;
      at += 1;
    }
  }
  const rest = content.length - script.done;
  if (rest > 0 && rest < block && content.length >= block) {
    const window = content.length - block;
    const hash = weakHash(content, window, block);
    const offset = blocks.find(content, window, (hash.b << 16) | hash.a, -1);
    if (offset >= 0) script.copy(offset + block - rest, script.done, rest);
  }
  return script.end();
}

/** Joins neighbouring copies and fills the gaps between them with new bytes. */
class ScriptWriter {
  readonly #writer: FrameWriter;
  readonly #content: Uint8Array;
  #newBytes = 0;
  #copyOffset = 0;
  #copyLength = 0; // 0 while no copy is open
  /** Bytes of the content that the script makes so far, the open copy included. */
  done = 0;

  constructor(writer: FrameWriter, content: Uint8Array) {
    this.#writer = writer;
    this.#content = content;
  }

  /** Where in the base the next block would have to lie to lengthen the open copy; -1 without one. */
  get expected(): number {
    return this.#copyLength === 0 ? -1 : this.#copyOffset + this.#copyLength;
  }

  /** `length` bytes at `at` of the content are those at `offset` of the base. */
  copy(offset: number, at: number, length: number): void {
    if (offset !== this.expected || at !== this.done) {
      this.#closeCopy();
      this.#addNew(at);
      this.#copyOffset = offset;
    }
    this.#copyLength += length;
    this.done = at + length;
  }

  end(): number {
    this.#closeCopy();
    this.#addNew(this.#content.length);
    return this.#newBytes;
  }

  #addNew(end: number): void {
    const bytes = this.#content.subarray(this.done, end);
    if (bytes.length > 0) this.#writer.u8(1).u32(bytes.length).bytes(bytes);
    this.#newBytes += bytes.length;
    this.done = end;
  }

  #closeCopy(): void {
    if (this.#copyLength > 0) this.#writer.u8(0).u32(this.#copyOffset).u32(this.#copyLength);
    this.#copyLength = 0;
  }
}

/** @throws AppError `frame_invalid`, `length_mismatch`; the caller checks the digest */
export function applyDelta(script: Uint8Array, base: Uint8Array, contentBytes: number): Uint8Array {
  if (contentBytes > LIMITS.chunkBytesMax) throw new AppError('too_large', `a chunk has at most ${LIMITS.chunkBytesMax} bytes`);
  const content = new Uint8Array(contentBytes);
  const reader = new PayloadReader(script);
  let at = 0;
  while (reader.remaining > 0) {
    const kind = reader.u8();
    if (kind > 1) throw new AppError('frame_invalid', `unknown delta step ${kind}`);
    const offset = kind === 0 ? reader.u32() : 0;
    const length = reader.u32();
    if (at + length > contentBytes || (kind === 0 && offset + length > base.length)) {
      throw new AppError('length_mismatch', 'a delta reaches beyond its chunk');
    }
    content.set(kind === 0 ? base.subarray(offset, offset + length) : reader.bytes(length), at);
    at += length;
  }
  if (at !== contentBytes) throw new AppError('length_mismatch', 'a delta makes fewer bytes than declared');
  return content;
}

type WeakHash = { readonly a: number; readonly b: number };

function weakHash(bytes: Uint8Array, start: number, length: number): WeakHash {
  let a = 0;
  let b = 0;
  for (let i = start; i < start + length; i += 1) {
    a = (a + (bytes[i] as number)) | 0;
    b = (b + a) | 0;
  }
  return { a: a & 0xffff, b: b & 0xffff };
}

/** Finds blocks of the base by their hashes. */
class SignatureIndex {
  readonly #signature: Uint8Array;
  readonly #baseBytes: number;
  readonly block: number; // bytes
  readonly #sha256: Sha256;
  readonly #blocks = new Map<number, number[]>(); // weak hash to the blocks that have it

  /** @throws AppError `frame_invalid` */
  constructor(signature: Uint8Array, sha256: Sha256) {
    const view = new DataView(signature.buffer, signature.byteOffset, signature.length);
    this.#signature = signature;
    this.#sha256 = sha256;
    this.#baseBytes = signature.length < SIGNATURE_HEADER_BYTES ? -1 : view.getUint32(0);
    this.block = blockBytes(this.#baseBytes);
    const count = blockCount(this.#baseBytes);
    if (signature.length !== SIGNATURE_HEADER_BYTES + count * SIGNATURE_ENTRY_BYTES) {
      throw new AppError('frame_invalid', 'a signature is not as long as it says');
    }
    for (let i = 0; i < count; i += 1) {
      const weak = view.getInt32(SIGNATURE_HEADER_BYTES + i * SIGNATURE_ENTRY_BYTES);
      const same = this.#blocks.get(weak);
      if (same === undefined) this.#blocks.set(weak, [i]);
      else same.push(i);
    }
  }

  /** @returns offset in the base of a block equal to the one at `at`, the `expected` one if it is among them; -1 if there is none */
  find(content: Uint8Array, at: number, weak: number, expected: number): number {
    const candidates = this.#blocks.get(weak);
    if (candidates === undefined) return -1;
    const strong = this.#sha256(content.subarray(at, at + this.block));
    let found = -1;
    for (const block of candidates) {
      const entry = SIGNATURE_HEADER_BYTES + block * SIGNATURE_ENTRY_BYTES + 4;
      if (this.#signature[entry] !== strong[0] || this.#signature[entry + 1] !== strong[1]) continue;
      const start = blockStart(block, this.#baseBytes);
      if (start === expected) return expected;
      if (found < 0) found = start;
    }
    return found;
  }
}
