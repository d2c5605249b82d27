import type { ErrorCode } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Operation, OperationResult } from '../Models/operations.ts';
import type { ChunkStore, VerifiedChunk } from '../Storage/chunk_store.ts';
import type { Metadata, Principal, StoredChunk } from '../Storage/metadata.ts';

type Deps = {
  readonly metadata: Pick<Metadata, 'commit' | 'recordChunks' | 'have'>;
  readonly chunks: Pick<ChunkStore, 'append'>;
  /** Throws once the caller's session was ended: a stream may outlive it. */
  readonly assertLive: () => Promise<unknown>;
  /** What all pushes of this server hold. */
  readonly held: HeldBytes;
};
/** Shared by the committers of one server. */
export type HeldBytes = { bytes: number };
type NumberedResult = { readonly number: number; readonly result: OperationResult };

class Batch {
  readonly chunks = new Map<string, VerifiedChunk>(); // by digest
  readonly operations: Operation[] = [];
  firstOperation = 0;
  bytes = 0; // of memory, about

  get empty(): boolean {
    return this.chunks.size === 0 && this.operations.length === 0;
  }
}

const CHUNK_OVERHEAD_BYTES = 512; // what is held for a chunk beside its content, so that tiny ones cannot fill the memory
const OPERATION_GROWTH = 4; // an operation in memory to its frame
const GATHER_MS = 10; // a batch that is not full waits at most this long for company

/**
 * Gathers chunks and operations and commits them in bounded batches: bytes durable, then the rows, then the results. One batch is
 * being committed while the next one gathers, so memory holds two; where many pushes hold much together, batches are smaller.
 */
export class BatchCommitter {
  readonly #deps: Deps;
  readonly #principal: Principal;
  readonly #stream: { readonly id: Buffer; readonly resumed: boolean };
  readonly #onResults: (results: readonly NumberedResult[]) => Promise<void>;
  #batch = new Batch();
  #committing: Promise<void> = Promise.resolve();
  #busy = false;
  #failure: unknown = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    deps: Deps,
    principal: Principal,
    stream: { id: Buffer; resumed: boolean },
    onResults: (results: readonly NumberedResult[]) => Promise<void>,
  ) {
    this.#deps = deps;
    this.#principal = principal;
    this.#stream = stream;
    this.#onResults = onResults;
  }

  get full(): boolean {
    const most = this.#deps.held.bytes > LIMITS.heldBytesMax ? LIMITS.crowdedBatchBytesMax : LIMITS.batchBytesMax;
    return this.#batch.bytes >= most || this.#batch.operations.length >= LIMITS.batchOperationsMax;
  }

  /** @throws what made an earlier batch fail: what comes behind it must not be done without it */
  addChunk(chunk: VerifiedChunk): void {
    this.#throwFailure();
    const key = chunk.digest.toString('latin1');
    this.#hold(chunk.length + CHUNK_OVERHEAD_BYTES); // also of one that is there: it shares a received buffer with those that are held
    if (this.#batch.chunks.has(key)) return;
    this.#batch.chunks.set(key, chunk);
    this.#startTimer();
  }

  /** Numbers of one batch follow one another. @param frameBytes as it came @throws as `addChunk` */
  addOperation(number: number, operation: Operation, frameBytes: number): void {
    this.#throwFailure();
    if (this.#batch.operations.length === 0) this.#batch.firstOperation = number;
    this.#batch.operations.push(operation);
    const runs = operation.kind === 'put' ? operation.chunks.length * 8 : 0; // a run of a few bytes may stand for many chunks
    this.#hold(frameBytes * OPERATION_GROWTH + runs);
    this.#startTimer();
  }

  /** Answers an operation that is not even tried; the next one begins a new batch. */
  async refuse(number: number, { code, message }: { code: ErrorCode; message: string }): Promise<void> {
    await this.settle();
    await this.#onResults([{ number, result: { status: 'refused', code, message } }]);
  }

  /** Hands the gathered batch over to be committed; waits only if another one is still being committed. */
  async flush(): Promise<void> {
    await this.#committing;
    this.#throwFailure();
    this.#start();
  }

  /** Everything added so far is committed and answered. */
  async settle(): Promise<void> {
    await this.flush();
    await this.#committing;
    this.#throwFailure();
  }

  /** As `settle`, for the last time; after a failure what is left is dropped. */
  async finish(): Promise<void> {
    try {
      if (this.#failure === null) await this.settle();
    } finally {
      this.#stopTimer();
      this.#letGo(this.#batch);
      this.#batch = new Batch();
    }
  }

  #hold(bytes: number): void {
    this.#batch.bytes += bytes;
    this.#deps.held.bytes += bytes;
  }

  #letGo(batch: Batch): void {
    this.#deps.held.bytes -= batch.bytes;
  }

  #start(): void {
    this.#stopTimer();
    if (this.#batch.empty) return;
    const batch = this.#batch;
    this.#batch = new Batch();
    this.#busy = true;
    this.#committing = this.#commit(batch)
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#busy = false;
        this.#letGo(batch);
        if (!this.#batch.empty && this.#failure === null) this.#startTimer();
      });
  }

  async #commit(batch: Batch): Promise<void> {
    await this.#deps.assertLive();
    const stored = await this.#store([...batch.chunks.values()]);
    if (batch.operations.length === 0) {
      await this.#deps.metadata.recordChunks(this.#principal, stored);
      return;
    }
    const position = { id: this.#stream.id, resumed: this.#stream.resumed, firstOperation: batch.firstOperation };
    const results = await this.#deps.metadata.commit(this.#principal, position, stored, batch.operations);
    await this.#onResults(results.map((result, i) => ({ number: batch.firstOperation + i, result })));
  }

  /** Appends the chunks that are not there yet. */
  async #store(chunks: readonly VerifiedChunk[]): Promise<StoredChunk[]> {
    if (chunks.length === 0) return [];
    const held = await this.#deps.metadata.have(
      this.#principal,
      chunks.map((chunk) => chunk.digest),
    );
    const wanted = chunks.filter((_, i) => held[i] !== true);
    const locations = await this.#deps.chunks.append(wanted);
    return wanted.flatMap((chunk, i) => {
      const location = locations[i];
      return location === undefined ? [] : [{ digest: chunk.digest, location }];
    });
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  #startTimer(): void {
    if (this.#busy) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (!this.#busy) this.#start();
    }, GATHER_MS);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
