import { createHash } from 'node:crypto';
import { chunkBody, ENCODING, readChunkHeader } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, type Frame, joinBytes } from '../../Models/frames.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import { giveBack } from '../../Models/received_bytes.ts';
import type { Http } from '../http.ts';
import { sha256 } from './local_files.ts';
import { applyPatch } from './patch.ts';
import { pullChunks } from './requests.ts';

/** A chunk that is here, which the wanted one may resemble: the server may answer with what differs. */
export type PatchBase = { readonly digest: Uint8Array; readonly read: () => Uint8Array };
export type WantedChunk = ChunkRef & { readonly base?: PatchBase | null };

/**
 * The content of these chunks, in this order, each checked against its digest and length; `null` for one that cannot be read.
 * Content comes in slices of the received buffers, which are valid until the next one is asked for.
 * @throws AppError `digest_mismatch`, `protocol_mismatch`, and what the connection throws
 */
export async function* fetchChunks(http: Http, wanted: readonly WantedChunk[]): AsyncGenerator<readonly Uint8Array[] | null> {
  let next = 0;
  const pairs = wanted.map(({ digest, base }) => ({ digest, base: base?.digest ?? null }));
  for await (const frames of pullChunks(http, pairs)) {
    for (const frame of frames) {
      const expected = wanted[next];
      if (expected === undefined) throw new AppError('protocol_mismatch', 'the server sent a chunk that was not asked for');
      next += 1;
      const content = frame.type === FRAME.missing ? null : await openChunk(frame, expected);
      yield content;
      if (content !== null) giveBack(content);
    }
  }
  if (next < wanted.length) throw new AppError('server_unreachable', 'the server sent fewer chunks than were asked for');
}

async function openChunk(frame: Frame, expected: WantedChunk): Promise<readonly Uint8Array[]> {
  const encoding = frame.type === FRAME.chunk ? readChunkHeader(frame).encoding : null;
  const { base } = expected;
  if (encoding === ENCODING.patch && base !== null && base !== undefined) {
    const content = await applyPatch(joinBytes(chunkBody(frame)), { digest: base.digest, content: base.read() }, expected.length);
    return checked([content], expected);
  }
  if (encoding !== ENCODING.raw) throw new AppError('protocol_mismatch', 'the server sent something that is no chunk as asked for');
  return checked(chunkBody(frame), expected);
}

function checked(content: readonly Uint8Array[], expected: ChunkRef): readonly Uint8Array[] {
  const length = content.reduce((sum, piece) => sum + piece.length, 0);
  if (length !== expected.length || !digestOf(content).equals(expected.digest)) {
    throw new AppError('digest_mismatch', 'the server sent a chunk that is not what was asked for');
  }
  return content;
}

export function digestOf(pieces: readonly Uint8Array[]): Buffer {
  const only = pieces.length === 1 ? pieces[0] : undefined;
  if (only !== undefined) return sha256(only);
  const running = createHash('sha256');
  for (const piece of pieces) running.update(piece);
  return running.digest();
}
