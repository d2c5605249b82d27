import { createHash } from 'node:crypto';
import { chunkBody, ENCODING, readChunkHeader } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, type Frame } from '../../Models/frames.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import type { Http } from '../http.ts';
import { sha256 } from './local_files.ts';
import { pullChunks } from './requests.ts';

/**
 * The content of these chunks, in this order, each checked against its digest and length; `null` for one that cannot be read.
 * Content comes in slices of the received buffers.
 * @throws AppError `digest_mismatch`, `protocol_mismatch`, and what the connection throws
 */
export async function* fetchChunks(http: Http, wanted: readonly ChunkRef[]): AsyncGenerator<readonly Uint8Array[] | null> {
  let next = 0;
  for await (const frames of pullChunks(
    http,
    wanted.map(({ digest }) => digest),
  )) {
    for (const frame of frames) {
      const expected = wanted[next];
      if (expected === undefined) throw new AppError('protocol_mismatch', 'the server sent a chunk that was not asked for');
      next += 1;
      yield frame.type === FRAME.missing ? null : openChunk(frame, expected);
    }
  }
  if (next < wanted.length) throw new AppError('server_unreachable', 'the server sent fewer chunks than were asked for');
}

function openChunk(frame: Frame, expected: ChunkRef): Uint8Array[] {
  if (frame.type !== FRAME.chunk || readChunkHeader(frame).encoding !== ENCODING.raw) {
    throw new AppError('protocol_mismatch', 'the server sent something that is no raw chunk');
  }
  const content = chunkBody(frame);
  const length = content.reduce((sum, piece) => sum + piece.length, 0);
  if (length !== expected.length || !digestOf(content).equals(expected.digest)) {
    throw new AppError('digest_mismatch', 'the server sent a chunk that is not what was asked for');
  }
  return content;
}

function digestOf(pieces: readonly Uint8Array[]): Buffer {
  const only = pieces.length === 1 ? pieces[0] : undefined;
  if (only !== undefined) return sha256(only);
  const running = createHash('sha256');
  for (const piece of pieces) running.update(piece);
  return running.digest();
}
