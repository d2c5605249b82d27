import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { FetchMessage, RelayRefusal } from '../../Models/rest_published.ts';
import type { Principal } from '../../Storage/metadata.ts';
import type { PublishedFile } from '../../Storage/publications.ts';
import type { Presence } from '../events/presence.ts';

/** Bytes that a device sends for one fetch. */
export type Relayed = {
  readonly body: IncomingMessage;
  /** Throws once the session of the device was ended. */
  readonly assertLive: () => Promise<unknown>;
  /** To be called once, when the bytes were given on or nobody takes them any more. */
  readonly end: (isWhole: boolean) => void;
};
type Wanted = {
  readonly file: PublishedFile;
  readonly start: number;
  readonly length: number;
  readonly by: Principal;
  readonly signal: AbortSignal;
};
type Open = {
  readonly owner: Principal;
  readonly length: number;
  readonly resolve: (relayed: Relayed) => void;
  readonly reject: (error: AppError) => void;
};

const REFUSALS: Record<RelayRefusal, string> = {
  file_changed: 'the file has changed since it was announced',
  not_found: 'the file is no longer there',
  busy: 'the device sends as much as it may at the same time',
  local_io: 'the device cannot read the file',
};

/**
 * Fetches that wait for a device to send, each under a random id that only that device can answer, once. Nothing of the content is kept here:
 * whoever asked gives it on from the connection it comes on.
 */
export class Relays {
  readonly #serving: Pick<Presence, 'send'>;
  readonly #answerMs: number;
  readonly #open = new Map<string, Open>();
  readonly #counts = new Map<string, number>(); // fetches by who asks and by publication
  #running = 0;

  /** @param serving devices by the publication they serve */
  constructor(serving: Pick<Presence, 'send'>, { answerMs = LIMITS.relayAnswerMs }: { readonly answerMs?: number } = {}) {
    this.#serving = serving;
    this.#answerMs = answerMs;
  }

  /** Counts a fetch. @returns to be called once, when it has ended. @throws AppError `busy`, `too_many_requests` */
  begin(file: PublishedFile, by: Principal): () => void {
    const keys = [`user ${by.userId}`, `publication ${file.publication.id}`] as const;
    if ((this.#counts.get(keys[0]) ?? 0) >= LIMITS.relaysPerUserMax) {
      throw new AppError('too_many_requests', `one user fetches at most ${LIMITS.relaysPerUserMax} files at the same time`);
    }
    const crowded = this.#running >= LIMITS.relaysMax || (this.#counts.get(keys[1]) ?? 0) >= LIMITS.relaysPerPublicationMax;
    if (crowded) throw new AppError('busy', 'too many fetches at once');
    this.#count(keys, 1);
    return () => this.#count(keys, -1);
  }

  /** Resolves when the device begins to send. @throws AppError `owner_offline`, `cancelled` (by the signal), and what the device refuses with */
  async ask({ file, start, length, by, signal }: Wanted): Promise<Relayed> {
    const { publication, digest } = file;
    const relay = randomBytes(16).toString('hex');
    const message: FetchMessage = { type: 'fetch', relay, digest: digest.toString('hex'), start, length, user: by.userName };
    const answered = Promise.withResolvers<Relayed>();
    this.#open.set(relay, { owner: publication, length, resolve: answered.resolve, reject: answered.reject });
    const giveUp = (): void => answered.reject(new AppError('cancelled', 'nobody waits for it any more'));
    const timer = setTimeout(() => answered.reject(offline()), this.#answerMs);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      if (signal.aborted) giveUp();
      else if (this.#serving.send({ userId: publication.userId, deviceId: publication.id }, JSON.stringify(message)) === 0)
        answered.reject(offline());
      return await answered.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      this.#open.delete(relay);
    }
  }

  /** @throws AppError `not_found` (unknown, answered already, or another device's) */
  refuse(relay: string, who: Principal, why: RelayRefusal): void {
    this.#take(relay, who, null).reject(new AppError(why, REFUSALS[why]));
  }

  /** @returns whether all of it was given on. @throws AppError `not_found`, `length_mismatch` (not as many bytes as were asked for; it stays open) */
  async answer(relay: string, who: Principal, { length, ...coming }: Omit<Relayed, 'end'> & { readonly length: number }): Promise<boolean> {
    const { resolve } = this.#take(relay, who, length);
    return new Promise((ended) => resolve({ ...coming, end: ended }));
  }

  #take(relay: string, who: Principal, length: number | null): Open {
    const open = this.#open.get(relay);
    if (open === undefined || open.owner.userId !== who.userId || open.owner.deviceId !== who.deviceId) {
      throw new AppError('not_found', 'nobody waits for this');
    }
    if (length !== null && length !== open.length) throw new AppError('length_mismatch', `${open.length} bytes were asked for`);
    this.#open.delete(relay);
    return open;
  }

  #count(keys: readonly string[], by: 1 | -1): void {
    this.#running += by;
    for (const key of keys) {
      const count = (this.#counts.get(key) ?? 0) + by;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
    }
  }
}

function offline(): AppError {
  return new AppError('owner_offline', 'the device that has the file is not connected');
}
