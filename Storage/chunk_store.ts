/** Where the bytes of one chunk lie: the database keeps this beside the digest. `offset` is that of the frame in the pack. */
export type ChunkLocation = {
  readonly pack: string; // pack name: 32 hex digits
  readonly offset: number; // bytes from the start of the pack to the chunk's frame
  readonly length: number; // bytes of the chunk's content; its frame is CHUNK_FRAME_HEADER_BYTES longer
};

/** Bytes whose SHA-256 was computed here and equals `digest`. Only `verifyChunk` makes one; stores accept nothing else. */
export type VerifiedChunk = {
  readonly digest: Buffer;
  /** The complete stored frame (header and content) in pieces, so that nothing is copied. */
  readonly frame: readonly Buffer[];
  readonly length: number; // content bytes
  readonly verified: typeof VERIFIED;
};
export const VERIFIED: unique symbol = Symbol('verified');

/**
 * Immutable chunks in packs. A pack is the object unit on every kind of store; a chunk is a frame of
 * Models/frames.ts inside it, so what arrives in a push is what is stored and what a pull sends.
 * Contract: Storage/testing/chunk_store_contract.ts.
 */
export interface ChunkStore {
  /** On how many stores, each of which can be lost without the others, a chunk is durable once it was appended. At least 1. */
  readonly copies: number;
  /**
   * Appends chunks; when the promise resolves they are durable (survive a power cut), in the given order.
   * With `later` they are only written: nothing may refer to them until `sync` was called and has resolved.
   * @throws AppError `storage_full`, `storage_unavailable`; nothing that the failed call wrote is referred to by anyone
   */
  append(chunks: readonly VerifiedChunk[], durable?: 'now' | 'later'): Promise<ChunkLocation[]>;
  /** Everything that was appended before the call is durable. @throws AppError `storage_unavailable` */
  sync(): Promise<void>;
  /**
   * Reads consecutive bytes of one pack: frames that lie side by side come in one read.
   * @param into where to, if it is long enough: buffers that are used again spare the collector a gigabyte for each one that is served
   * @returns exactly the bytes asked for, a part of `into` or a buffer of their own
   * @throws AppError `corrupt` (shorter than asked or gone), `storage_unavailable`
   */
  read(range: { pack: string; offset: number; length: number }, into?: Buffer): Promise<Buffer>;
  close(): Promise<void>;
}
