import type { ErrorCode } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Operation, OperationResult } from '../../Models/operations.ts';
import { giveBack } from '../../Models/received_bytes.ts';
import type { ChunkLocation, ChunkStore, VerifiedChunk } from '../../Storage/chunk_store.ts';
import type { Metadata, Principal, StoredChunk } from '../../Storage/metadata.ts';

type Deps = {
  readonly metadata: Pick<Metadata, 'commit' | 'recordChunks' | 'have'>;
  readonly chunks: Pick<ChunkStore, 'append' | 'sync'>;
  /** Throws once the caller's session was ended: a stream may outlive it. */
  readonly assertLive: () => Promise<unknown>;
  /** What all pushes of this server hold. */
  readonly held: HeldBytes;
};
/** Shared by the committers of one server. */
export type HeldBytes = { bytes: number };
/** Told where the chunks of a file lie once they are written; they need not be durable yet. */
type OnWritten = (location: ChunkLocation) => void;
type NumberedResult = { readonly number: number; readonly result: OperationResult };

class Batch {
  readonly chunks = new Map<string, VerifiedChunk>(); // by digest
  readonly onWritten = new Map<VerifiedChunk, OnWritten>();
  readonly operations: Operation[] = [];
  firstOperation = 0;
  bytes = 0; // of memory, about

  get empty(): boolean {
    return this.chunks.size === 0 && this.operations.length === 0;
  }
}

const CHUNK_OVERHEAD_BYTES = 512; // what is held for a chunk beside its content, so that tiny ones cannot fill the memory
const OPERATION_GROWTH = 4; // an operation in memory to its frame
const GATHER_MS = 50; // a batch that is not full waits at most this long for company

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
  #unrecorded: StoredChunk[] = []; // written, in no row yet
  #unrecordedBytes = 0; // of those that are not durable yet, and of what is held for them
  #recording: Promise<void> = Promise.resolve(); // of those before them

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

  /** All that was added is committed and answered, or will not be any more. */
  get idle(): boolean {
    return this.#failure !== null || (this.#batch.empty && !this.#busy);
  }

  get full(): boolean {
    const most = this.#deps.held.bytes > LIMITS.heldBytesMax ? LIMITS.crowdedBatchBytesMax : LIMITS.batchBytesMax;
    return this.#batch.bytes >= most || this.#batch.operations.length >= LIMITS.batchOperationsMax;
  }

  /** @throws what made an earlier batch fail: what comes behind it must not be done without it */
  addChunk(chunk: VerifiedChunk, onWritten: OnWritten | null = null): void {
    this.#throwFailure();
    const key = chunk.digest.toString('latin1');
    this.#hold(chunk.length + CHUNK_OVERHEAD_BYTES); // also of one that is there: it shares a received buffer with those that are held
    if (this.#batch.chunks.has(key)) return;
    this.#batch.chunks.set(key, chunk);
    if (onWritten !== null) this.#batch.onWritten.set(chunk, onWritten);
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

  /** As `settle`, for the last time. @throws what made a batch fail: what is left is dropped */
  async finish(): Promise<void> {
    try {
      await this.settle();
      await this.#record();
    } finally {
      await this.#recording.catch(Boolean); // known already, if it failed
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

  /** The chunks of a long file are made durable in larger steps than they come: nothing refers to them before its operation does. */
  async #commit(batch: Batch): Promise<void> {
    await this.#deps.assertLive();
    const { operations, firstOperation } = batch;
    await this.#store(batch, operations.length > 0 ? 'now' : 'later');
    if (operations.length === 0) {
      if (this.#unrecordedBytes >= LIMITS.unrecordedBytesMax) await this.#startRecording();
      return;
    }
    const position = { id: this.#stream.id, resumed: this.#stream.resumed, firstOperation };
    await this.#recording;
    if (this.#unrecordedBytes > 0) await this.#deps.chunks.sync(); // also when this batch itself brought no chunk
    const results = await this.#deps.metadata.commit(this.#principal, position, this.#takeUnrecorded(), operations);
    await this.#onResults(results.map((result, i) => ({ number: firstOperation + i, result })));
  }

  /** Makes written chunks durable and known, so that an interrupted push goes on behind them. */
  async #record(): Promise<void> {
    await this.#startRecording();
    await this.#recording;
  }

  /** More batches are written meanwhile. Waits only for the one before. @throws what made that one fail */
  async #startRecording(): Promise<void> {
    await this.#recording;
    const stored = this.#takeUnrecorded();
    if (stored.length === 0) return;
    this.#recording = (async () => {
      await this.#deps.chunks.sync();
      await this.#deps.metadata.recordChunks(this.#principal, stored);
    })();
    this.#recording.catch(Boolean); // thrown by whatever comes next
  }

  #takeUnrecorded(): StoredChunk[] {
    this.#unrecordedBytes = 0;
    return this.#unrecorded.splice(0);
  }

  /** Appends the chunks that are not there yet. */
  async #store(batch: Batch, durable: 'now' | 'later'): Promise<void> {
    const chunks = [...batch.chunks.values()];
    if (chunks.length === 0) return;
    const held = await this.#deps.metadata.have(
      this.#principal,
      chunks.map((chunk) => chunk.digest),
    );
    const wanted = chunks.filter((_, i) => held[i] !== true);
    const locations = await this.#deps.chunks.append(wanted, durable);
    for (const [i, location] of locations.entries()) {
      const chunk = wanted[i] as VerifiedChunk;
      batch.onWritten.get(chunk)?.(location);
      const { digest, length } = chunk;
      this.#unrecorded.push({ digest, location });
      if (durable === 'later') this.#unrecordedBytes += length + CHUNK_OVERHEAD_BYTES;
    }
    for (const { frame } of chunks) giveBack(frame);
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
