import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import type { Dispatcher, Pool } from 'undici';
import { AppError } from '../Models/errors.ts';
import { CONNECT_TIMEOUT_MS, pinnedConnector, type Trust } from './http_connect.ts';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;
export type Exchange = { readonly status: number; readonly headers: ResponseHeaders; readonly body: Readable };
export type ExchangeRequest = {
  readonly origin: string; // named in errors
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string; // with its query
  readonly headers: Record<string, string>;
  readonly body: Buffer | AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal | undefined;
  readonly idleMs: number; // neither side moved a byte for this long: the exchange is given up
};

const READ_AHEAD_PIECES = 16; // of at most 64 KiB
const CONNECTIONS_MAX = 16;
const LOST_CONNECTION = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** Only the pool is loaded, not the package's front: that is 20 ms instead of 35 (warm) or 80 (cold) of each command's start. */
export function openPool(origin: string, trust: Trust): Pool {
  const PoolClass: typeof Pool = createRequire(import.meta.url)('undici/lib/dispatcher/pool.js');
  return new PoolClass(origin, {
    connections: CONNECTIONS_MAX,
    pipelining: 1,
    allowH2: false,
    connect: origin.startsWith('https:') ? pinnedConnector(trust) : { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout: 0, // undici's timers look at the answer alone; ours also sees the request's bytes moving
    bodyTimeout: 0,
  });
}

/**
 * One request and its answer. Full duplex: the answer may begin, and end, while the request's body is still being sent.
 * @throws AppError `server_unreachable` (refused, lost, silent for too long), `server_certificate_changed`, `cancelled` (by the signal), and whatever AppError the
 * body's source threw (`local_io` when it threw another error of the system). After the promise is resolved the same errors arrive
 * through `body`. Destroying `body` early ends the exchange.
 */
export function exchange(pool: Pool, request: ExchangeRequest): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    if (request.signal?.aborted) return reject(cancelled());
    const running = new RunningExchange(request, resolve, reject);
    pool.dispatch({ method: request.method, path: request.path, headers: request.headers, body: running.requestBody() }, running);
  });
}

class RunningExchange implements Dispatcher.DispatchHandler {
  readonly #request: ExchangeRequest;
  readonly #resolve: (answer: Exchange) => void;
  readonly #reject: (error: Error) => void;
  readonly #watchdog: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#fail(cancelled());
  #controller: Dispatcher.DispatchController | undefined;
  #answer: Readable | undefined;
  #failure: Error | undefined;
  #over = false;

  constructor(request: ExchangeRequest, resolve: (answer: Exchange) => void, reject: (error: Error) => void) {
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#watchdog = setTimeout(() => this.#onIdle(), request.idleMs).unref();
    request.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Undici takes async iterables, its types leave them out. */
  requestBody(): Buffer | Readable | null {
    const { body } = this.#request;
    if (body === undefined) return null;
    if (Buffer.isBuffer(body)) return body;
    return watched(body, () => this.#watchdog.refresh()) as unknown as Readable;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#watchdog.refresh();
    if (this.#failure !== undefined) controller.abort(this.#failure);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    this.#watchdog.refresh();
    if (status < 200) return;
    this.#answer = new Readable({
      objectMode: true, // else what has come is put together before it is read: each byte would be copied once more
      highWaterMark: READ_AHEAD_PIECES,
      read: () => {
        this.#watchdog.refresh();
        controller.resume();
      },
      destroy: (error, done) => {
        if (!this.#over) this.#fail(error ?? cancelled());
        done(error);
      },
    });
    this.#resolve({ status, headers, body: this.#answer });
  }

  onResponseData(controller: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#watchdog.refresh();
    if (bytes.length === 0) return; // comes when a paused exchange goes on, and would be a piece like any other
    if (this.#answer?.push(bytes) === false) controller.pause();
  }

  onResponseEnd(): void {
    this.#finish();
    this.#answer?.push(null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#finish(this.#failure ?? error);
  }

  #onIdle(): void {
    if (this.#controller?.paused) {
      this.#watchdog.refresh(); // the reader is the slow one
      return;
    }
    this.#fail(new AppError('server_unreachable', `the server has not answered for ${Math.round(this.#request.idleMs / 1000)} s`));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    if (this.#controller === undefined) this.#finish(error);
    else this.#controller.abort(error);
  }

  #finish(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#watchdog);
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
    if (error === undefined) return;
    const failure = asAppError(error, this.#request.origin);
    if (this.#answer === undefined) this.#reject(failure);
    else this.#answer.destroy(failure);
  }
}

async function* watched(source: AsyncIterable<Uint8Array>, onBytes: () => void): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of source) {
      onBytes();
      yield piece;
    }
  } catch (error) {
    throw asSourceError(error);
  }
}

/** The connection broke before an answer began: a request that changes nothing may be sent again. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof Error && LOST_CONNECTION.has(errorCode(error) ?? '');
}

function asAppError(error: Error, origin: string): AppError {
  if (error instanceof AppError) return error;
  const code = errorCode(error);
  if (code === undefined) return new AppError('internal', 'the request failed', { cause: error });
  const message = LOST_CONNECTION.has(code) ? `the connection to ${origin} was lost` : `no Driftless server answers at ${origin} (${code})`;
  return new AppError('server_unreachable', message, { cause: error });
}

function asSourceError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error && errorCode(error) !== undefined) return new AppError('local_io', error.message, { cause: error });
  return new AppError('internal', 'the data to send could not be made', { cause: error });
}

function errorCode(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function cancelled(): AppError {
  return new AppError('cancelled', 'cancelled');
}
