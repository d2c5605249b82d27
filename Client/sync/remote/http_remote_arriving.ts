import { chunkBody, ENCODING, readChunkHeader } from '../../../Models/chunk_frames.ts';
import { AppError } from '../../../Models/errors.ts';
import { FRAME, type Frame } from '../../../Models/frames.ts';
import { giveBack } from '../../../Models/received_bytes.ts';
import { ROUTES } from '../../../Models/routes.ts';
import type { Http } from '../../http.ts';
import { digestOf } from '../../transfer/fetch_chunks.ts';
import { framesOf } from '../../transfer/requests.ts';
import type { ArrivedChunk } from './remote.ts';

/** See `Remote.arriving`. @throws AppError also `digest_mismatch`, `protocol_mismatch`, and what the connection throws */
export async function* arrivingChunks(http: Http, id: string, signal: AbortSignal): AsyncGenerator<ArrivedChunk> {
  const answer = await http.stream('GET', ROUTES.arriving, { query: { id }, signal });
  for await (const frames of framesOf(answer.body)) {
    for (const frame of frames) {
      const chunk = arrivedChunk(frame);
      yield chunk;
      giveBack(chunk.content);
    }
  }
}

function arrivedChunk(frame: Frame): ArrivedChunk {
  if (frame.type !== FRAME.chunk) throw new AppError('protocol_mismatch', 'the server sent something that is no chunk');
  const { encoding, digest } = readChunkHeader(frame);
  if (encoding !== ENCODING.raw) throw new AppError('protocol_mismatch', 'the server sent a chunk that is told against another');
  const content = chunkBody(frame);
  if (!digestOf(content).equals(digest)) throw new AppError('digest_mismatch', 'the server sent a chunk that is not what it is said to be');
  return { digest, length: content.reduce((sum, piece) => sum + piece.length, 0), content };
}
