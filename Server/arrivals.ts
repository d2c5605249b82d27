import { randomBytes } from 'node:crypto';
import { CHUNK_FRAME_HEADER_BYTES } from '../Models/chunk_frames.ts';
import { AppError } from '../Models/errors.ts';
import type { ArrivingFile } from '../Models/events.ts';
import { LIMITS } from '../Models/limits.ts';
import type { ChunkLocation, ChunkStore } from '../Storage/chunk_store.ts';
import { createPlaces, createShares } from './turns.ts';

/** Path and size of a file whose chunks come next, as its push says. */
export type Announced = Omit<ArrivingFile, 'id'>;

/** A long file that is being pushed: where its chunks lie that were written so far, in the order in which they came. */
export class Arrival {
  readonly #userId: string;
  readonly #onEnd: () => void;
  readonly #written: ChunkLocation[] = [];
  #ended = false;
  #more = Promise.withResolvers<void>();

  constructor(userId: string, onEnd: () => void) {
    this.#userId = userId;
    this.#onEnd = onEnd;
  }

  /** Nobody else is told that it is there. */
  isOf(userId: string): boolean {
    return this.#userId === userId;
  }

  add(location: ChunkLocation): void {
    if (this.#ended) return;
    this.#written.push(location);
    this.#wake();
    if (this.#written.length >= LIMITS.arrivalChunksMax) this.end();
  }

  /** Whoever follows it gets what was written so far, and nobody else finds it. */
  end(): void {
    this.#ended = true;
    this.#onEnd();
    this.#wake();
  }

  /**
   * The frames of its chunks as they come, until it has ended. What is yielded is valid until the next one is asked for.
   * @param gone aborted once nobody waits for them any more
   */
  async *frames(chunks: Pick<ChunkStore, 'read'>, gone: AbortSignal): AsyncGenerator<Uint8Array> {
    gone.addEventListener('abort', () => this.#wake());
    let buffer = Buffer.alloc(0);
    for (let next = 0; ; next += 1) {
      while (next === this.#written.length) {
        if (this.#ended || gone.aborted) return;
        await this.#more.promise;
      }
      const { pack, offset, length } = this.#written[next] as ChunkLocation;
      const frameBytes = CHUNK_FRAME_HEADER_BYTES + length;
      if (buffer.length < frameBytes) buffer = Buffer.allocUnsafeSlow(frameBytes);
      yield await chunks.read({ pack, offset, length: frameBytes }, buffer);
    }
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

/**
 * The long files that are being pushed to this server, for the other devices of the same user: what is written can be fetched ahead of the commit. To
 * anybody else it does not exist; it grants nothing, since each of these chunks came from the user who asks.
 */
export class Arrivals {
  readonly #open = new Map<string, Arrival>();
  readonly #announce = createShares({ most: LIMITS.arrivalsMax });
  readonly #follow = createPlaces({ most: LIMITS.followersMax });

  /** @returns `null` where as many are followed as may be: it is fetched once it is committed */
  begin(userId: string, file: Announced): { readonly file: ArrivingFile; readonly arrival: Arrival } | null {
    const leave = this.#announce(userId);
    if (typeof leave === 'string') return null;
    const id = randomBytes(16).toString('hex');
    const arrival = new Arrival(userId, () => {
      this.#open.delete(id);
      leave();
    });
    this.#open.set(id, arrival);
    return { file: { id, ...file }, arrival };
  }

  /**
   * @param gone aborted once nobody waits for them any more: then the place of who follows is free again
   * @returns `Arrival.frames`
   * @throws AppError `not_found`, `busy`, `too_many_requests`
   */
  follow(userId: string, id: string, chunks: Pick<ChunkStore, 'read'>, gone: AbortSignal): AsyncGenerator<Uint8Array> {
    const arrival = this.#open.get(id);
    if (arrival?.isOf(userId) !== true) throw new AppError('not_found', 'no such file is being pushed');
    const leave = this.#follow(userId);
    gone.addEventListener('abort', leave);
    if (gone.aborted) leave();
    return arrival.frames(chunks, gone);
  }
}

/** The long files of one push: each from its announcement until its operation is answered. */
export class PushedArrivals {
  readonly #begin: (file: Announced) => Arrival | null;
  readonly #answering = new Map<number, Arrival>(); // by the operation that they are for
  #coming: Arrival | null = null;

  /** @param begin `null`: nobody is told of it */
  constructor(begin: (file: Announced) => Arrival | null) {
    this.#begin = begin;
  }

  /** One that came before and has no operation is not going to have one: its device gave it up. */
  announced(file: Announced): void {
    this.#coming?.end();
    this.#coming = this.#begin(file);
  }

  /** To be told where the next chunk was written; `null`: nobody wants to know. */
  get onWritten(): ((location: ChunkLocation) => void) | null {
    const coming = this.#coming;
    return coming === null ? null : (location) => coming.add(location);
  }

  operation(number: number): void {
    if (this.#coming !== null) this.#answering.set(number, this.#coming);
    this.#coming = null;
  }

  answered(number: number): void {
    this.#answering.get(number)?.end();
    this.#answering.delete(number);
  }

  end(): void {
    this.#coming?.end();
    for (const number of [...this.#answering.keys()]) this.answered(number);
  }
}
