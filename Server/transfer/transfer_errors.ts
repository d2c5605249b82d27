import type { FastifyBaseLogger } from 'fastify';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';
import { writeError } from '../../Models/operation_frames.ts';

/** The last frame of a stream that failed: what the client may know; the rest goes to the log. */
export function errorFrame(error: unknown, log: FastifyBaseLogger): Uint8Array {
  const writer = new FrameWriter(256);
  if (error instanceof AppError) {
    log.info({ code: error.code, err: error }, 'stream ended with an error');
    writeError(writer, error);
  } else {
    log.error({ err: error }, 'stream failed');
    writeError(writer, { code: 'internal', message: 'the server failed; its log says more' });
  }
  return writer.take();
}

export function endFrame(): Uint8Array {
  return new FrameWriter(8).begin(FRAME.end).finish().take();
}

/** A stream of frames always ends with an end frame or an error frame; without one it was cut off. */
export async function* endingWithError(source: AsyncGenerator<Uint8Array>, log: FastifyBaseLogger): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
    yield endFrame();
  } catch (error) {
    yield errorFrame(error, log);
  }
}
