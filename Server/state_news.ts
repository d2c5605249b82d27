import type { FastifyBaseLogger } from 'fastify';

type Told = { readonly users: Iterable<string>; readonly message: { readonly type: string } };

/**
 * Brings what is a state, and no change, to who follows events: once, in order, to who is connected. Nothing of it is kept, and who connects asks for
 * the state.
 */
export class StateNews {
  readonly #followers = new Map<string, Set<(text: string) => void>>(); // by user
  readonly #log: FastifyBaseLogger;
  #telling: Promise<void> = Promise.resolve();

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

  /** @param find what is told, as of when all that came before was told; not called while nobody follows */
  tell(find: (isFollowed: (userId: string) => boolean) => Promise<Told | null>): void {
    if (this.#followers.size === 0) return;
    this.#telling = this.#telling
      .then(async () => {
        const told = await find((userId) => this.#followers.has(userId));
        if (told === null) return;
        const text = JSON.stringify(told.message);
        for (const userId of told.users) for (const hear of this.#followers.get(userId) ?? []) hear(text);
      })
      .catch((err: unknown) => this.#log.warn({ err }, 'a state could not be told'));
  }

  /** Nothing more is asked of any store once this has resolved and no one tells. */
  settled(): Promise<void> {
    return this.#telling;
  }
}
