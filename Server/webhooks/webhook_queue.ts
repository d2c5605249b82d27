import { LIMITS } from '../../Models/limits.ts';

/** Works on a few things at a time, and on few of one user, so that nobody's slow receivers hold up those of others. One thing is never worked on twice at once. */
export class WebhookQueue<Item extends { readonly userId: string }> {
  readonly #work: (item: Item) => Promise<void>; // must not throw
  readonly #waiting = new Set<Item>();
  readonly #running = new Map<Item, Promise<void>>();
  #closed = false;

  constructor(work: (item: Item) => Promise<void>) {
    this.#work = work;
  }

  /** What is being worked on is worked on once more afterwards. */
  add(item: Item): void {
    this.#waiting.add(item);
    this.#start();
  }

  /** Waits for what is under way, and begins nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#running.values());
  }

  #start(): void {
    for (const item of this.#waiting) {
      if (this.#closed || this.#running.size >= LIMITS.webhookRequestsMax) return;
      if (!this.#mayRun(item)) continue;
      this.#waiting.delete(item);
      const done = this.#work(item).finally(() => {
        this.#running.delete(item);
        this.#start();
      });
      this.#running.set(item, done);
    }
  }

  #mayRun(item: Item): boolean {
    if (this.#running.has(item)) return false;
    const ofUser = Array.from(this.#running.keys()).filter(({ userId }) => userId === item.userId);
    return ofUser.length < LIMITS.webhookRequestsPerUserMax;
  }
}
