import type { FastifyBaseLogger } from 'fastify';

type Told = { readonly users: Iterable<string>; readonly message: { readonly type: string } };
type Find = (isFollowed: (userId: string) => boolean) => Promise<Told | null>;

/**
 * Brings what is a state, and no change, to who follows events: once, in order, to who is connected. Nothing of it is kept, and who connects asks for
 * the state.
 */
export class StateNews {
  readonly #followers = new Map<string, Set<(text: string) => void>>(); // by user
  readonly #log: FastifyBaseLogger;
  readonly #waiting = new Map<string, Find>(); // by what it is the state of
  #telling: Promise<void> | null = null;

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /** @param hear must neither throw nor wait @returns ends it */
  follow(userId: string, hear: (text: string) => void): () => void {
    const own = this.#followers.get(userId) ?? new Set();
    this.#followers.set(userId, own.add(hear));
    return () => {
      own.delete(hear);
      if (own.size === 0 && this.#followers.get(userId) === own) this.#followers.delete(userId);
    };
  }

  /**
   * @param key of what it is the state: of one of which something waits to be told only the last is
   * @param find what is told; not called while nobody follows
   */
  tell(key: string, find: Find): void {
    if (this.#followers.size === 0) return;
    this.#waiting.set(key, find);
    this.#telling ??= this.#tellAll();
  }

  /** Nothing more is asked of any store once this has resolved and no one tells. */
  async settled(): Promise<void> {
    await this.#telling;
  }

  async #tellAll(): Promise<void> {
    for (const [key, find] of this.#waiting) {
      this.#waiting.delete(key);
      try {
        const told = await find((userId) => this.#followers.has(userId));
        if (told !== null) this.#bring(told);
      } catch (err) {
        this.#log.warn({ err }, 'a state could not be told');
      }
    }
    this.#telling = null; // at once: what waits a moment later is told by another one
  }

  #bring({ users, message }: Told): void {
    const text = JSON.stringify(message);
    for (const userId of users) for (const hear of this.#followers.get(userId) ?? []) hear(text);
  }
}
