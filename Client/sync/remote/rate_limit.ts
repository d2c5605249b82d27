import { Readable } from 'node:stream';
import type { Http, StreamOptions } from '../../http.ts';
import { type Clock, sleep } from '../clock.ts';

/** Bytes per second in each direction; `undefined`: as fast as it goes. May be changed at any time, and is obeyed within a second. */
export type RateLimits = { upBytesPerSecond: number | undefined; downBytesPerSecond: number | undefined };

const PIECE_BYTES = 16 * 1024;
const BURST_MS = 100; // what was not used this long is lost
const LOOK_AGAIN_MS = 1000; // the limit may have been changed

const WINDOW_MS = 1000;

/** How many bytes a second pass, over the last one to two seconds. */
export class RateMeter {
  readonly #clock: Pick<Clock, 'now'>;
  #at = Number.NEGATIVE_INFINITY; // when the current window began
  #before = 0; // bytes of the window before it
  #bytes = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  add(bytes: number): void {
    this.#moveOn();
    this.#bytes += bytes;
  }

  get bytesPerSecond(): number {
    const passedMs = this.#moveOn();
    return Math.round(((this.#before + this.#bytes) * 1000) / (WINDOW_MS + passedMs));
  }

  /** @returns since the current window began, ms */
  #moveOn(): number {
    const now = this.#clock.now();
    const passedMs = now - this.#at;
    if (passedMs < WINDOW_MS) return passedMs;
    this.#before = passedMs < 2 * WINDOW_MS ? this.#bytes : 0;
    this.#bytes = 0;
    this.#at = now;
    return 0;
  }
}

/** What passes in each direction. */
export type Meters = { readonly up: RateMeter; readonly down: RateMeter };

export function meters(clock: Pick<Clock, 'now'>): Meters {
  return { up: new RateMeter(clock), down: new RateMeter(clock) };
}

/** Lets bytes through at a rate. */
export class TokenBucket {
  readonly #rate: () => number | undefined;
  readonly #clock: Pick<Clock, 'now' | 'after'>;
  #tokens = 0; // bytes that may go now; below zero: that were let through ahead of their time
  #at: number;

  constructor(rate: () => number | undefined, clock: Pick<Clock, 'now' | 'after'>) {
    this.#rate = rate;
    this.#clock = clock;
    this.#at = clock.now();
  }

  get limited(): boolean {
    return this.#rate() !== undefined;
  }

  /** Waits until what was taken before has had its time. */
  async take(bytes: number): Promise<void> {
    for (let rate = this.#refill(); rate !== undefined && this.#tokens < 0; rate = this.#refill()) {
      await sleep(this.#clock, Math.min(LOOK_AGAIN_MS, Math.ceil((-this.#tokens / rate) * 1000)));
    }
    this.#tokens -= bytes;
  }

  #refill(): number | undefined {
    const rate = this.#rate();
    const now = this.#clock.now();
    if (rate === undefined) this.#tokens = 0;
    else this.#tokens = Math.min((rate * BURST_MS) / 1000, this.#tokens + (rate * (now - this.#at)) / 1000);
    this.#at = now;
    return rate;
  }
}

/** The same server with what is streamed to it and from it held to the limits, and measured. Short requests pass at once: they are few. */
export function pacedHttp(http: Http, limits: RateLimits, clock: Pick<Clock, 'now' | 'after'>, passed: Meters = meters(clock)): Http {
  const up = new TokenBucket(() => limits.upBytesPerSecond, clock);
  const down = new TokenBucket(() => limits.downBytesPerSecond, clock);
  return {
    json: (schema, method, route, options) => http.json(schema, method, route, options),
    async stream(method, route, options: StreamOptions = {}) {
      const { body } = options;
      const sent = body === undefined || Buffer.isBuffer(body) ? body : paced(body, up, passed.up);
      const answer = await http.stream(method, route, { ...options, body: sent });
      return { ...answer, body: Readable.from(paced(answer.body as AsyncIterable<Buffer>, down, passed.down), { objectMode: false }) };
    },
    close: () => http.close(),
  };
}

/** In short pieces while there is a limit, so that they flow evenly. */
async function* paced(source: AsyncIterable<Uint8Array>, bucket: TokenBucket, meter: RateMeter): AsyncGenerator<Uint8Array> {
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; ) {
      const piece = bucket.limited ? bytes.subarray(at, at + PIECE_BYTES) : bytes.subarray(at);
      await bucket.take(piece.length);
      meter.add(piece.length);
      at += piece.length;
      yield piece;
    }
  }
}
