import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { type EndReason, endText } from '../Models/session_ends.ts';
import { TICKET } from '../Models/ticket.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { EndedSession } from '../Storage/sessions.ts';

const POLL_MS = 1000;
const STALE_MS = 5000;
/** So long a session that was found to go on is taken to, unless its end is read. */
const BELIEVED_MS = (TICKET.lifetimeS + TICKET.leewayS) * 1000;
/** Longer, so that an end is never forgotten before what was believed without it. */
const KEPT_MS = 2 * BELIEVED_MS;

/**
 * Sessions that were logged out, read once a second, so that a logout takes effect within two. A session is looked up when it is first seen and
 * again now and then, by a clock that is never set: so it does not matter what the wall clock makes of an old ticket.
 * While the accounts cannot be read for more than five seconds nobody is let in: who was logged out is not known then.
 */
export class Revocations {
  readonly #accounts: Pick<AccountsReader, 'endedSessions' | 'endOfSession'>;
  readonly #nowMs: () => number;
  readonly #onFailure: (error: unknown) => void;
  readonly #onEnded: (sessions: readonly EndedSession[]) => void;
  readonly #ended = new Map<string, { readonly readAtMs: number; readonly reason: EndReason }>(); // by session id, the end read first comes first
  readonly #goesOn = new Map<string, number>(); // by session id, when it was found to; the first found comes first
  #sequence = 0;
  #freshAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * @param nowMs of a clock that is never set: neither a wall clock put right nor the daemon's must let anyone in, or keep anyone out
   * @param onEnded told what is read, after it has taken effect; with nothing at the end of each reading
   */
  constructor(
    accounts: Pick<AccountsReader, 'endedSessions' | 'endOfSession'>,
    nowMs: () => number,
    onFailure: (error: unknown) => void,
    onEnded: (sessions: readonly EndedSession[]) => void = () => undefined,
  ) {
    this.#accounts = accounts;
    this.#nowMs = nowMs;
    this.#onFailure = onFailure;
    this.#onEnded = onEnded;
  }

  /** Begins to read once a second. Resolves after the first reading, failed or not. */
  start(): Promise<void> {
    this.#polling = this.poll().then(() => this.#schedule());
    return this.#polling;
  }

  /** @throws AppError `storage_unavailable` when the last reading is too old, `ticket_revoked` */
  async check(sessionId: string): Promise<void> {
    if (!this.isFresh()) throw new AppError('storage_unavailable', 'the list of ended sessions cannot be read');
    const reason = this.#ended.get(sessionId)?.reason ?? (await this.#lookUp(sessionId));
    if (reason !== null) throw new AppError('ticket_revoked', endText(reason), { reason });
  }

  async #lookUp(sessionId: string): Promise<EndReason | null> {
    const askedAtMs = this.#nowMs();
    if ((this.#goesOn.get(sessionId) ?? Number.NEGATIVE_INFINITY) > askedAtMs - BELIEVED_MS) return null;
    const reason = await this.#accounts.endOfSession(sessionId);
    this.#goesOn.delete(sessionId);
    if (reason !== null) return reason;
    this.#goesOn.set(sessionId, askedAtMs);
    const [first] = this.#goesOn.keys();
    if (this.#goesOn.size > LIMITS.ticketsCachedMax && first !== undefined) this.#goesOn.delete(first);
    return null;
  }

  isFresh(): boolean {
    return this.#nowMs() - this.#freshAtMs <= STALE_MS;
  }

  /** Reads what ended since the last time. Never rejects. */
  async poll(): Promise<void> {
    const startedMs = this.#nowMs();
    try {
      let page: EndedSession[];
      do {
        page = await this.#accounts.endedSessions(this.#sequence);
        for (const { sequence, id, reason } of page) {
          this.#ended.set(id, { readAtMs: startedMs, reason });
          this.#sequence = sequence;
        }
        this.#onEnded(page);
      } while (page.length > 0);
      this.#freshAtMs = startedMs;
    } catch (error) {
      this.#onFailure(error);
    }
    this.#forget(startedMs - KEPT_MS);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#polling;
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#polling = this.poll().then(() => this.#schedule());
    }, POLL_MS);
  }

  #forget(beforeMs: number): void {
    for (const [id, { readAtMs }] of this.#ended) {
      if (readAtMs >= beforeMs) return;
      this.#ended.delete(id);
    }
  }
}
