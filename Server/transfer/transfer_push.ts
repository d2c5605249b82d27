import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger } from 'fastify';
import { ENCODING, readChunkHeader } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, type Frame, FrameParser, FrameWriter, payloadOf } from '../../Models/frames.ts';
import {
  hasRuns,
  type OperationFrame,
  type PutFrame,
  readArriving,
  readOperation,
  resolveRuns,
  writeResult,
} from '../../Models/operation_frames.ts';
import type { Operation, OperationResult } from '../../Models/operations.ts';
import { type Past, readPast, writePast } from '../../Models/tree_frames.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import type { Metadata, Principal } from '../../Storage/metadata.ts';
import { verifyRawFrame } from '../../Storage/verified_chunk.ts';
import { type Announced, type Arrival, PushedArrivals } from '../arrivals.ts';
import { sendPiece } from '../response_stream.ts';
import { BatchCommitter, type HeldBytes } from './batch_committer.ts';
import { decodeChunk } from './transfer_delta.ts';
import { endFrame, errorFrame } from './transfer_errors.ts';

type Deps = {
  readonly metadata: Metadata;
  readonly chunks: ChunkStore;
  readonly assertLive: () => Promise<unknown>;
  readonly held: HeldBytes;
  /** The client's cursor past what this stream did, if there is nothing else behind it. */
  readonly pastOf: (cursor: string) => Promise<Past | null>;
  /** A long file begins to come: tells the user's other devices. `null`: they are not told. */
  readonly arrive: (file: Announced) => Arrival | null;
  /** Told how to ask whether the client waits for an answer to what it sent. */
  readonly owes: (isOwed: () => boolean) => void;
  readonly log: FastifyBaseLogger;
};

const LINGER_MS = 2000; // after an error the client is given this long to read it before the connection goes

/**
 * One push: reads frames as they come, commits them in batches, answers a result for each operation while more come in.
 * `response` has its headers. The answer begins at once, so an error after that is an error frame. What was complete when a connection broke is still stored.
 */
export async function servePush(
  deps: Deps,
  principal: Principal,
  stream: { id: Buffer; resumed: boolean },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(200);
  response.flushHeaders();
  const arrivals = new PushedArrivals(deps.arrive);
  const committer = new BatchCommitter(deps, principal, stream, (results) => {
    for (const { number } of results) arrivals.answered(number);
    return sendResults(response, results);
  });
  deps.owes(() => !committer.idle);
  try {
    const cursor = await readPush(deps, principal, { committer, arrivals }, request);
    await committer.finish();
    const past = cursor === null ? null : await deps.pastOf(cursor);
    if (past !== null) response.write(pastFrame(past));
    response.end(endFrame());
  } catch (error) {
    await committer.finish().catch((late: unknown) => deps.log.info({ err: late }, 'the rest of a broken push could not be stored'));
    if (response.destroyed) deps.log.info({ err: error }, 'push broke off');
    else endWithError(response, errorFrame(error, deps.log), request);
  } finally {
    arrivals.end();
  }
}

/** @returns the client's cursor, if it asks for the one past all this */
async function readPush(
  deps: Deps,
  principal: Principal,
  { committer, arrivals }: { committer: BatchCommitter; arrivals: PushedArrivals },
  request: IncomingMessage,
): Promise<string | null> {
  const parser = new FrameParser();
  let ended = false;
  let expected: number | null = null; // number of the next operation
  let cursor: string | null = null;
  for await (const bytes of chunksOf(request)) {
    const { frames, broken } = parse(parser, bytes);
    for (const frame of frames) {
      if (ended) throw new AppError('frame_invalid', 'a frame came after the end');
      if (frame.type === FRAME.chunk) {
        const chunk = isRaw(frame) ? verifyRawFrame(frame) : await decodeChunk(deps, principal, frame);
        committer.addChunk(chunk, arrivals.onWritten);
      } else if (frame.type === FRAME.operation) {
        const { number, operation } = readOperation(payloadOf(frame));
        if (expected !== null && number !== expected) throw new AppError('frame_invalid', 'operations are numbered one after the other');
        expected = number + 1;
        arrivals.operation(number);
        await addOperation(deps, principal, committer, { number, operation, frameBytes: frame.length });
      } else if (frame.type === FRAME.arriving) {
        arrivals.announced(readArriving(payloadOf(frame)));
      } else if (frame.type === FRAME.past) ({ cursor } = readPast(payloadOf(frame)));
      else if (frame.type === FRAME.end) ended = true;
      else throw new AppError('frame_invalid', `a push holds no frame of type ${frame.type}`);
      if (committer.full) await committer.flush();
    }
    if (broken !== null) throw broken;
  }
  parser.assertBoundary();
  if (!ended) throw new AppError('upload_interrupted', 'the push ended without its end frame');
  return cursor;
}

function pastFrame(past: Past): Uint8Array {
  const writer = new FrameWriter(256);
  writePast(writer, past);
  return writer.take();
}

/** The frames that are whole, also when what follows them is malformed. */
function parse(parser: FrameParser, bytes: Buffer): { frames: Frame[]; broken: AppError | null } {
  const frames: Frame[] = [];
  try {
    parser.push(bytes, (frame) => frames.push(frame));
    return { frames, broken: null };
  } catch (error) {
    if (error instanceof AppError) return { frames, broken: error };
    throw error;
  }
}

async function addOperation(
  deps: Deps,
  principal: Principal,
  committer: BatchCommitter,
  received: { number: number; operation: OperationFrame; frameBytes: number },
): Promise<void> {
  const { number, operation: frame, frameBytes } = received;
  if (frame.kind !== 'put' || !hasRuns(frame)) {
    committer.addOperation(number, frame as Operation, frameBytes);
    return;
  }
  // earlier operations of this stream may have made the version that this one is based on
  await committer.settle();
  const operation = await withoutRuns(deps, principal, frame);
  if (operation === null)
    await committer.refuse(number, { code: 'version_stale', message: 'the file changed since the version this put is based on' });
  else committer.addOperation(number, operation, frameBytes);
}

async function withoutRuns(deps: Deps, principal: Principal, put: PutFrame): Promise<Operation | null> {
  const [base] = await deps.metadata.manifests(principal, [put.path]);
  if (base === undefined || base === null) return null;
  if (base.digest.equals(put.digest)) return { ...put, chunks: base.chunks }; // sent again because the answer to it was lost
  if (base.version !== put.base) return null;
  return { ...put, chunks: resolveRuns(put.chunks, base.chunks) };
}

function isRaw(frame: Frame): boolean {
  return readChunkHeader(frame).encoding === ENCODING.raw;
}

/** The body's buffers; a connection that breaks is `upload_interrupted`. */
async function* chunksOf(request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    // destroying the request with the loop would take the connection away from under the answer
    for await (const bytes of request.iterator({ destroyOnReturn: false })) yield bytes as Buffer;
  } catch (cause) {
    throw new AppError('upload_interrupted', 'the connection broke during the push', { cause });
  }
}

async function sendResults(response: ServerResponse, results: readonly { number: number; result: OperationResult }[]): Promise<void> {
  if (response.destroyed) return;
  const writer = new FrameWriter(32 * results.length + 64);
  for (const { number, result } of results) writeResult(writer, number, result);
  await sendPiece(response, writer.take());
}

/** The client may still be sending: it must be able to read the error, but not go on for ever. */
function endWithError(response: ServerResponse, frame: Uint8Array, request: IncomingMessage): void {
  response.end(frame);
  request.resume();
  const timer = setTimeout(() => request.destroy(), LINGER_MS);
  request.once('close', () => clearTimeout(timer));
}
