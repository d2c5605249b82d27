import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FRAME_TYPE, FrameWriter, payloadOf } from '../../Models/frames.ts';
import { readResult } from '../../Models/operation_frames.ts';
import type { OperationResult } from '../../Models/operations.ts';
import { ROUTES } from '../../Models/routes.ts';
import { type Past, readPast, writePast } from '../../Models/tree_frames.ts';
import type { Http } from '../http.ts';
import { framesOf } from './requests.ts';

const QUEUED_BYTES_MAX = 4 << 20;

/** `name` (32 hex digits): repeating a number under the same name repeats its result. `first`: number of the first operation. */
export type StreamPosition = { readonly name: string; readonly first: number };

/**
 * One push request: frames go out while results come in. `T` is what the caller wants back with an operation's result.
 * Once it failed every method throws that failure, and `pending` holds the operations that have no result.
 */
export class PushStream<T> {
  readonly pending = new Map<number, T>();
  readonly #onResult: (task: T, result: OperationResult) => void;
  readonly #answer: Promise<void>;
  #queue: { readonly bytes: Uint8Array; readonly sent: (() => void) | undefined }[] = [];
  #queuedBytes = 0;
  #ended = false;
  #nextNumber: number;
  #past: Past | null = null;
  #failure: AppError | null = null;
  #wakeBody: (() => void) | null = null;
  #wakeSender: (() => void) | null = null;
  readonly #abort = new AbortController();

  constructor(http: Http, onResult: (task: T, result: OperationResult) => void, position: StreamPosition | null = null) {
    this.#onResult = onResult;
    this.#nextNumber = position?.first ?? 0;
    this.#answer = this.#exchange(http, position?.name).catch((error: unknown) => {
      this.#failure = error instanceof AppError ? error : new AppError('internal', 'the push failed', { cause: error });
      this.#wakeSender?.();
    });
  }

  /** The number for an operation that is about to be sent. */
  register(task: T): number {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    this.pending.set(number, task);
    return number;
  }

  /** Queues bytes that must not be changed before `sent` is called, if it is; waits while much is queued. */
  async send(bytes: Uint8Array, sent?: () => void): Promise<void> {
    this.#throwFailure();
    this.#queue.push({ bytes, sent });
    this.#queuedBytes += bytes.length;
    this.#wakeBody?.();
    await setImmediate(); // lets the socket take bytes and results come in
    while (this.#queuedBytes > QUEUED_BYTES_MAX && this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#wakeSender = resolve;
      });
    }
    this.#throwFailure();
  }

  /**
   * Ends the push; resolves when every operation has its result.
   * @param cursor up to where changes are known
   * @returns the cursor past what this push did, if nothing else is behind the given one
   */
  async finish(cursor: string | null = null): Promise<Past | null> {
    this.#throwFailure();
    const writer = new FrameWriter(256);
    if (cursor !== null) writePast(writer, { cursor, at: null });
    this.#queue.push({ bytes: writer.begin(FRAME.end).finish().take(), sent: undefined });
    this.#ended = true;
    this.#wakeBody?.();
    await this.#answer;
    this.#throwFailure();
    if (this.pending.size > 0) throw new AppError('server_unreachable', `${this.pending.size} operations got no result`);
    return this.#past;
  }

  /** Ends the request where it stands; the server keeps what came whole. */
  abandon(): void {
    this.#abort.abort();
    this.#wakeBody?.();
  }

  async #exchange(http: Http, stream: string | undefined): Promise<void> {
    const { signal } = this.#abort;
    const headers = { 'content-type': FRAME_TYPE };
    const answer = await http.stream('POST', ROUTES.push, { query: { stream }, headers, body: this.#body(), signal });
    for await (const frames of framesOf(answer.body)) {
      for (const frame of frames) {
        if (frame.type === FRAME.past) {
          this.#past = readPast(payloadOf(frame));
          continue;
        }
        if (frame.type !== FRAME.result) throw new AppError('protocol_mismatch', 'the server sent a frame that is no result');
        const { number, result } = readResult(payloadOf(frame));
        const task = this.pending.get(number);
        if (task === undefined) throw new AppError('protocol_mismatch', 'the server answered an operation that was not sent');
        this.pending.delete(number);
        this.#onResult(task, result);
      }
    }
    if (!this.#ended) throw new AppError('server_unreachable', 'the server ended the push before everything was sent');
  }

  /**
   * The next piece is asked for once the socket has given the last one to the system, if it was longer than the socket's own buffer; a
   * piece counts as sent one later than that. Should it be changed too early all the same, its digest is wrong and the server says so.
   */
  async *#body(): AsyncGenerator<Uint8Array> {
    let before: (() => void) | undefined;
    for (;;) {
      for (let piece = this.#queue.shift(); piece !== undefined; piece = this.#queue.shift()) {
        yield piece.bytes;
        this.#queuedBytes -= piece.bytes.length;
        before?.();
        before = piece.sent;
        this.#wakeSender?.();
      }
      if (this.#ended || this.#abort.signal.aborted) return;
      await new Promise<void>((resolve) => {
        this.#wakeBody = resolve;
      });
    }
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}
