import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { RestPlaces, RestSyncedRoot } from '../Models/rest_receipt.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

export type DurableOptions = { readonly timeoutMs?: number; readonly signal?: AbortSignal };

/** Where files are, and how far devices are. Only what is known: what a device says of itself, as of when it said so. Errors as of `Driftless`; what else, each says. */
export type ReceiptMethods = {
  /** On how many stores, and on which of the user's devices, this file is as it is now. @throws AppError `not_found` (also for what is no file) */
  places(path: string): Promise<RestPlaces>;
  /** Of many files, in the order asked; `null` for what is no file. */
  placesOf(paths: readonly string[]): Promise<(RestPlaces | null)[]>;
  /**
   * Waits until what the file is by then is on so many places: stores of the server, and devices of the user.
   * @returns where it is: on fewer places (`durable`) only when `timeoutMs` is over
   * @throws AppError as `places`, `cancelled`
   */
  untilDurable(path: string, places: number, options?: DurableOptions): Promise<RestPlaces>;
  /** Each folder that a device of the user keeps in sync, and how far it is; those heard of last come first. */
  syncStatus(): Promise<RestSyncedRoot[]>;
};

const BODY_BYTES_MAX = LIMITS.jsonBodyBytesMax - 1024;
const ASK_FIRST_MS = 100;
const ASK_MS_MAX = 2000;

export function receiptMethods(http: Http): ReceiptMethods {
  const call = restCaller(http, () => import('../Models/rest_receipt.ts'));
  const ask = async (paths: readonly string[]): Promise<(RestPlaces | null)[]> =>
    (await call(({ PlacesResult }) => ({ schema: PlacesResult, method: 'POST', route: ROUTES.places, body: { paths } }))).places;

  async function places(path: string): Promise<RestPlaces> {
    const [found] = await ask([path]);
    if (found === undefined || found === null) throw new AppError('not_found', `there is no file at ${path}`);
    return found;
  }

  return {
    places,
    async placesOf(paths) {
      const found: (RestPlaces | null)[] = [];
      for (const some of inBodies(paths)) for (const place of await ask(some)) found.push(place);
      return found;
    },
    async untilDurable(path, wanted, { timeoutMs = Number.POSITIVE_INFINITY, signal } = {}) {
      const untilMs = performance.now() + timeoutMs;
      for (let pauseMs = ASK_FIRST_MS; ; pauseMs = Math.min(pauseMs * 1.5, ASK_MS_MAX)) {
        const found = await places(path);
        const leftMs = untilMs - performance.now();
        if (found.durable >= wanted || leftMs <= 0) return found;
        await pause(Math.min(pauseMs, leftMs), signal);
      }
    },
    syncStatus: async () =>
      (await call(({ SyncStatusResult }) => ({ schema: SyncStatusResult, method: 'GET', route: ROUTES.syncStatus }))).roots,
  };
}

/** As many at a time as one request takes. */
function* inBodies(paths: readonly string[]): Generator<string[]> {
  let some: string[] = [];
  let bytes = 0;
  for (const path of paths) {
    const length = Buffer.byteLength(JSON.stringify(path)) + 1;
    if (some.length === LIMITS.placesPathsMax || bytes + length > BODY_BYTES_MAX) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(path);
    bytes += length;
  }
  if (some.length > 0) yield some;
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (cause) {
    throw new AppError('cancelled', 'the wait was cancelled', { cause });
  }
}
