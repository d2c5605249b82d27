import { Readable } from 'node:stream';
import { FRAME, FrameWriter } from '../../Models/frames.ts';
import { writeError } from '../../Models/operation_frames.ts';
import type { Http, StreamOptions } from '../http.ts';

export type Answerer = (route: string, body: StreamOptions['body']) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** A server that is a function: for what a real one would never answer. */
export function scriptedHttp(answer: Answerer): Http {
  return {
    json: async () => Promise.reject(new Error('not scripted')),
    stream: async (_method, route, options = {}) => ({
      status: 200,
      headers: {},
      body: Readable.from(answer(route, options.body), { objectMode: false }),
    }),
    close: async () => undefined,
  };
}

export const END_FRAME = new FrameWriter(8).begin(FRAME.end).finish().take();

export function errorFrame(code: string): Uint8Array {
  const writer = new FrameWriter(64);
  writeError(writer, { code, message: code });
  return writer.take();
}
