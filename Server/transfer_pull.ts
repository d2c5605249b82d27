import { CHUNK_FRAME_HEADER_BYTES } from '../Models/chunk_frames.ts';
import { FRAME, FrameWriter } from '../Models/frames.ts';
import type { ChunkLocation, ChunkStore } from '../Storage/chunk_store.ts';
import type { Metadata, Principal } from '../Storage/metadata.ts';

type Deps = {
  readonly metadata: Pick<Metadata, 'locate'>;
  readonly chunks: Pick<ChunkStore, 'read'>;
};

const LOCATED_AT_ONCE = 4096;
const READ_BYTES = 1 << 20; // one read brings at most this much, or one chunk

/** A piece of the answer: a read of frames that lie side by side in a pack, or a chunk that the caller cannot read. */
type Part = { readonly pack: string; readonly offset: number; length: number } | { readonly missing: Buffer };

/**
 * The frames of these chunks in this order, as they lie in the packs: the client checks each digest.
 * The next read is under way while the last one is sent. What is yielded is valid until the next piece is asked for.
 */
export async function* pullFrames(deps: Deps, principal: Principal, digests: readonly Buffer[]): AsyncGenerator<Uint8Array> {
  const buffers = [Buffer.alloc(0), Buffer.alloc(0)] as [Buffer, Buffer];
  let ahead: Promise<Buffer> | null = null;
  for (let first = 0; first < digests.length; first += LOCATED_AT_ONCE) {
    const group = digests.slice(first, first + LOCATED_AT_ONCE);
    const locations = await deps.metadata.locate(principal, group);
    for (const part of joinReads(group, locations)) {
      buffers.reverse(); // one is being sent, the other was sent before
      const next = 'missing' in part ? Promise.resolve(missingFrame(part.missing)) : readInto(deps, part, buffers);
      next.catch(Boolean); // awaited below; must not count as unhandled until then
      if (ahead !== null) yield await ahead;
      ahead = next;
    }
  }
  if (ahead !== null) yield await ahead;
}

function readInto({ chunks }: Deps, part: { pack: string; offset: number; length: number }, buffers: [Buffer, Buffer]): Promise<Buffer> {
  if (buffers[0].length < part.length) buffers[0] = Buffer.allocUnsafeSlow(Math.max(part.length, Math.min(READ_BYTES, part.length * 2)));
  return chunks.read(part, buffers[0]);
}

function* joinReads(digests: readonly Buffer[], locations: readonly (ChunkLocation | null)[]): Generator<Part> {
  let open: { pack: string; offset: number; length: number } | null = null;
  for (const [i, digest] of digests.entries()) {
    const location = locations[i] ?? null;
    if (location === null) {
      if (open !== null) yield open;
      open = null;
      yield { missing: digest };
      continue;
    }
    const length = CHUNK_FRAME_HEADER_BYTES + location.length;
    if (
      open !== null &&
      open.pack === location.pack &&
      open.offset + open.length === location.offset &&
      open.length + length <= READ_BYTES
    ) {
      open.length += length;
      continue;
    }
    if (open !== null) yield open;
    open = { pack: location.pack, offset: location.offset, length };
  }
  if (open !== null) yield open;
}

function missingFrame(digest: Buffer): Buffer {
  return Buffer.from(new FrameWriter(64).begin(FRAME.missing).bytes(digest).finish().take());
}
