import { CHUNK_FRAME_HEADER_BYTES } from '../../Models/chunk_frames.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';
import type { ChunkLocation, ChunkStore } from '../../Storage/chunk_store.ts';
import type { Metadata, Principal } from '../../Storage/metadata.ts';
import { readStoredChunk } from '../../Storage/verified_chunk.ts';
import { patchFrame } from './transfer_patch.ts';

type Deps = {
  readonly metadata: Pick<Metadata, 'locate'>;
  readonly chunks: Pick<ChunkStore, 'read'>;
};

/** A chunk that is asked for, and one that the caller has and would be told it against. */
export type Pulled = { readonly digest: Buffer; readonly base: Buffer | null };

const LOCATED_AT_ONCE = 4096;
const READ_BYTES = 1 << 20; // one read brings at most this much, or one chunk

type Read = { readonly pack: string; readonly offset: number; length: number };
type Stored = { readonly digest: Buffer; readonly location: ChunkLocation };
/** A piece of the answer: a read of frames that lie side by side in a pack, a chunk that the caller cannot read, or one told against another. */
type Part = Read | { readonly missing: Buffer } | { readonly chunk: Stored; readonly base: Stored };

/**
 * The frames of these chunks in this order, as they lie in the packs: the client checks each digest. Where a base is named, and the
 * caller can read that too, the frame may be a patch.
 * The next read is under way while the last one is sent. What is yielded is valid until the next piece is asked for.
 */
export async function* pullFrames(deps: Deps, principal: Principal, pulled: readonly Pulled[]): AsyncGenerator<Uint8Array> {
  const buffers = [Buffer.alloc(0), Buffer.alloc(0)] as [Buffer, Buffer];
  let ahead: Promise<Buffer> | null = null;
  for (let first = 0; first < pulled.length; first += LOCATED_AT_ONCE) {
    for (const part of joinReads(await locate(deps, principal, pulled.slice(first, first + LOCATED_AT_ONCE)))) {
      buffers.reverse(); // one is being sent, the other was sent before
      const next = makePart(deps, part, buffers);
      next.catch(Boolean); // awaited below; must not count as unhandled until then
      if (ahead !== null) yield await ahead;
      ahead = next;
    }
  }
  if (ahead !== null) yield await ahead;
}

type Located = { readonly digest: Buffer; readonly location: ChunkLocation | null; readonly base: Stored | null };

async function locate({ metadata }: Deps, principal: Principal, group: readonly Pulled[]): Promise<Located[]> {
  const bases = group.flatMap(({ base }) => (base === null ? [] : [base]));
  const found = await metadata.locate(principal, [...group.map(({ digest }) => digest), ...bases]);
  let next = group.length;
  return group.map(({ digest, base }, i) => {
    const baseLocation = base === null ? null : (found[next++] ?? null);
    return {
      digest,
      location: found[i] ?? null,
      base: base === null || baseLocation === null ? null : { digest: base, location: baseLocation },
    };
  });
}

function makePart(deps: Deps, part: Part, buffers: [Buffer, Buffer]): Promise<Buffer> {
  if ('missing' in part) return Promise.resolve(missingFrame(part.missing));
  return 'chunk' in part ? patchOrRaw(deps, part) : readInto(deps, part, buffers);
}

function readInto({ chunks }: Deps, part: Read, buffers: [Buffer, Buffer]): Promise<Buffer> {
  if (buffers[0].length < part.length) buffers[0] = Buffer.allocUnsafeSlow(Math.max(part.length, Math.min(READ_BYTES, part.length * 2)));
  return chunks.read(part, buffers[0]);
}

async function patchOrRaw({ chunks }: Deps, { chunk, base }: { readonly chunk: Stored; readonly base: Stored }): Promise<Buffer> {
  const content = await readStoredChunk(chunks, chunk.digest, chunk.location);
  const baseContent = await readStoredChunk(chunks, base.digest, base.location);
  return (
    (await patchFrame(chunk.digest, content, { digest: base.digest, content: baseContent })) ?? (await chunks.read(frameOf(chunk.location)))
  );
}

function* joinReads(located: readonly Located[]): Generator<Part> {
  let open: Read | null = null;
  for (const { digest, location, base } of located) {
    if (location === null || base !== null) {
      if (open !== null) yield open;
      open = null;
      yield location === null ? { missing: digest } : { chunk: { digest, location }, base: base as Stored };
      continue;
    }
    const { pack, offset, length } = frameOf(location);
    if (open !== null && open.pack === pack && open.offset + open.length === offset && open.length + length <= READ_BYTES) {
      open.length += length;
      continue;
    }
    if (open !== null) yield open;
    open = { pack, offset, length };
  }
  if (open !== null) yield open;
}

function frameOf({ pack, offset, length }: ChunkLocation): Read {
  return { pack, offset, length: CHUNK_FRAME_HEADER_BYTES + length };
}

function missingFrame(digest: Buffer): Buffer {
  return Buffer.from(new FrameWriter(64).begin(FRAME.missing).bytes(digest).finish().take());
}
