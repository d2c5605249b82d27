import { findCut, isCut } from '../../Models/chunking.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { ByteSource } from './byte_file.ts';
import { sha256 } from './local_files.ts';

const BLOCK_BYTES = 8 << 20;
const FREE_BLOCKS_MAX = 3;
const CARRY_BYTES = LIMITS.chunkBytesMax; // most that can be left over when the next block is taken in
const GROWTH_BYTES = 64 * 1024; // a file may become longer while it is read

/** A chunk that a file was cut into. `content` is a slice of a block; once it was released the block is read into again. */
export type FileChunk = { readonly digest: Buffer; readonly length: number; readonly content: Uint8Array; readonly release: () => void };

/**
 * Cuts an open file into chunks, reading ahead while the caller works.
 * A chunk that was guessed right needs no search for its end: boundaries depend on nothing before the chunk, so the same bytes from
 * its start to its end are the same chunk; unless it only ended there because the file did.
 */
export class ChunkReader {
  readonly #source: Pick<ByteSource, 'readAhead'>;
  readonly #blockBytes: number;
  readonly #roomBytes: number; // in front of a block
  #window: Uint8Array = new Uint8Array(0);
  #at = 0; // of the next chunk in the window
  #position = 0; // in the file, of the next block
  #ended = false;
  #ahead: Promise<{ bytes: Uint8Array; length: number }> | null = null;
  // blocks are used again: making and freeing two gigabytes of them for each one read costs more than to hash it
  readonly #uses = new Map<ArrayBufferLike, number>(); // by block: chunks that were not released, and the window
  readonly #free: Uint8Array[] = [];

  /** @param sizeBytes of the file, as far as it is known: a short one needs no long blocks. It may turn out longer. */
  constructor(source: Pick<ByteSource, 'readAhead'>, sizeBytes = Number.POSITIVE_INFINITY) {
    this.#source = source;
    this.#blockBytes = Math.min(BLOCK_BYTES, sizeBytes + GROWTH_BYTES);
    this.#roomBytes = Math.min(CARRY_BYTES, this.#blockBytes);
  }

  /** @param guess a chunk that may come next @returns `null` at the end of the file */
  async next(guess: { readonly digest: Uint8Array; readonly length: number } | null): Promise<FileChunk | null> {
    while (!this.#ended && this.#window.length - this.#at < LIMITS.chunkBytesMax) await this.#fill();
    const left = this.#window.length - this.#at;
    if (left === 0) return null;
    if (guess !== null && guess.length > 0 && guess.length <= left) {
      if (guess.length === left || isCut(this.#window, this.#at, this.#at + guess.length)) {
        const content = this.#window.subarray(this.#at, this.#at + guess.length);
        const digest = sha256(content);
        if (digest.equals(guess.digest)) return this.#take(digest, content);
      }
    }
    const end = findCut(this.#window, this.#at, this.#window.length);
    const content = this.#window.subarray(this.#at, end);
    return this.#take(sha256(content), content);
  }

  /** Waits for the read under way: the file must not be closed before. */
  async settle(): Promise<void> {
    await this.#ahead;
  }

  #take(digest: Buffer, content: Uint8Array): FileChunk {
    this.#at += content.length;
    const { buffer } = content;
    this.#use(buffer);
    return { digest, length: content.length, content, release: () => this.#release(buffer) };
  }

  #use(block: ArrayBufferLike): void {
    this.#uses.set(block, (this.#uses.get(block) ?? 0) + 1);
  }

  #release(block: ArrayBufferLike): void {
    const uses = (this.#uses.get(block) ?? 1) - 1;
    if (uses > 0) this.#uses.set(block, uses);
    else if (this.#uses.delete(block) && this.#free.length < FREE_BLOCKS_MAX && block.byteLength === this.#roomBytes + this.#blockBytes)
      this.#free.push(new Uint8Array(block));
  }

  async #fill(): Promise<void> {
    const { bytes, length } = await (this.#ahead ?? this.#read());
    this.#ahead = null;
    if (length === 0) {
      this.#ended = true;
      return;
    }
    const carried = this.#window.subarray(this.#at);
    const window = joined(carried, bytes, { from: this.#roomBytes, length });
    this.#use(window.buffer);
    this.#release(this.#window.buffer);
    this.#window = window;
    this.#at = 0;
    this.#ahead = this.#read();
    this.#ahead.catch(Boolean); // it is awaited by the next fill or by settle
  }

  /** A block behind room for what will be left of the one before it. */
  async #read(): Promise<{ bytes: Uint8Array; length: number }> {
    const end = this.#roomBytes + this.#blockBytes;
    const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(end);
    let length = 0;
    while (length < this.#blockBytes) {
      const target = bytes.subarray(this.#roomBytes + length, end);
      const count = await this.#source.readAhead(target, this.#position + length);
      if (count === 0) break;
      length += count;
    }
    this.#position += length;
    return { bytes, length };
  }
}

/** What is left, put right before what was read: in place, unless the file turned out so long that there is no room for it. */
function joined(left: Uint8Array, block: Uint8Array, { from, length }: { from: number; length: number }): Uint8Array {
  const start = from - left.length;
  const window = start >= 0 ? block.subarray(start, from + length) : Buffer.allocUnsafeSlow(left.length + length);
  if (start < 0) window.set(block.subarray(from, from + length), left.length);
  window.set(left, 0);
  return window;
}
