import { AppError } from '../Models/errors.ts';
import { type EndReason, endText } from '../Models/session_ends.ts';
import { TICKET } from '../Models/ticket.ts';
import type { AccountsReader } from '../Storage/accounts.ts';
import type { EndedSession } from '../Storage/sessions.ts';

const POLL_MS = 1000;
const STALE_MS = 5000;
/** A session whose end was read earlier has no ticket left that could still be good; twice as long, for clocks that disagree. */
const KEPT_MS = (TICKET.lifetimeS + TICKET.leewayS) * 1000 * 2;

/**
 * Sessions that were logged out, read once a second, so that a logout takes effect within two.
 * While the accounts cannot be read for more than five seconds nobody is let in: who was logged out is not known then.
 */
export class Revocations {
  readonly #accounts: Pick<AccountsReader, 'endedSessions'>;
  readonly #nowMs: () => number;
  readonly #onFailure: (error: unknown) => void;
  readonly #onEnded: (sessions: readonly EndedSession[]) => void;
  readonly #ended = new Map<string, { readonly readAtMs: number; readonly reason: EndReason }>(); // by session id, the end read first comes first
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
    accounts: Pick<AccountsReader, 'endedSessions'>,
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
  check(sessionId: string): void {
    if (!this.isFresh()) throw new AppError('storage_unavailable', 'the list of ended sessions cannot be read');
    const end = this.#ended.get(sessionId);
    if (end !== undefined) throw new AppError('ticket_revoked', endText(end.reason), { reason: end.reason });
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
