import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FRAME_TYPE, FrameWriter, payloadOf } from '../../Models/frames.ts';
import { readResult } from '../../Models/operation_frames.ts';
import type { OperationResult } from '../../Models/operations.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Http } from '../http.ts';
import { framesOf } from './requests.ts';

const QUEUED_BYTES_MAX = 4 << 20;

/**
 * One push request: frames go out while results come in. `T` is what the caller wants back with an operation's result.
 * Once it failed every method throws that failure, and `pending` holds the operations that have no result.
 */
export class PushStream<T> {
  readonly pending = new Map<number, T>();
  readonly #onResult: (task: T, result: OperationResult) => void;
  readonly #answer: Promise<void>;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #ended = false;
  #nextNumber = 0;
  #failure: AppError | null = null;
  #wakeBody: (() => void) | null = null;
  #wakeSender: (() => void) | null = null;

  constructor(http: Http, onResult: (task: T, result: OperationResult) => void) {
    this.#onResult = onResult;
    this.#answer = this.#exchange(http).catch((error: unknown) => {
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

  /** Queues bytes that must not be changed afterwards; waits while much is queued. */
  async send(...pieces: Uint8Array[]): Promise<void> {
    this.#throwFailure();
    for (const piece of pieces) {
      this.#queue.push(piece);
      this.#queuedBytes += piece.length;
    }
    this.#wakeBody?.();
    await setImmediate(); // lets the socket take bytes and results come in
    while (this.#queuedBytes > QUEUED_BYTES_MAX && this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#wakeSender = resolve;
      });
    }
    this.#throwFailure();
  }

  /** Ends the push; resolves when every operation has its result. */
  async finish(): Promise<void> {
    this.#throwFailure();
    this.#queue.push(new FrameWriter(8).begin(FRAME.end).finish().take());
    this.#ended = true;
    this.#wakeBody?.();
    await this.#answer;
    this.#throwFailure();
    if (this.pending.size > 0) throw new AppError('server_unreachable', `${this.pending.size} operations got no result`);
  }

  async #exchange(http: Http): Promise<void> {
    const answer = await http.stream('POST', ROUTES.push, { headers: { 'content-type': FRAME_TYPE }, body: this.#body() });
    for await (const frames of framesOf(answer.body)) {
      for (const frame of frames) {
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

  async *#body(): AsyncGenerator<Uint8Array> {
    for (;;) {
      for (let piece = this.#queue.shift(); piece !== undefined; piece = this.#queue.shift()) {
        yield piece;
        this.#queuedBytes -= piece.length;
        this.#wakeSender?.();
      }
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wakeBody = resolve;
      });
    }
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}
