import { LIMITS } from '../../Models/limits.ts';
import type { Follower, News } from '../../Storage/following.ts';
import { toAppError } from '../http_errors.ts';
import { eventShape } from '../rest_shapes.ts';
import { CLOSE, type EventLink } from './events_link.ts';

/**
 * Sends one client the changes behind its cursor, and then each as it is committed. What was read for everybody is sent at once where it comes next;
 * otherwise the client's own place is read from the journal. While a client does not take what is sent, nothing is read for it: it goes on from there.
 */
export class ChangeStream {
  readonly #link: EventLink;
  readonly #follower: Follower;
  readonly #onFailure: (error: unknown) => void;
  #reading = false;
  #behind = false;

  constructor(link: EventLink, follower: Follower, onFailure: (error: unknown) => void) {
    this.#link = link;
    this.#follower = follower;
    this.#onFailure = onFailure;
    link.write(JSON.stringify({ type: 'connected', cursor: follower.cursor }));
    this.#read();
  }

  /** Asks the journal, for what no news came of: other servers on one database do not tell. */
  look(): void {
    this.#read();
  }

  hear(news: News): void {
    if (this.#reading || !this.#link.hasRoom) {
      this.#read();
      return;
    }
    const { changes, behind } = this.#follower.take(news);
    for (const change of changes) this.#link.write(JSON.stringify(eventShape(change)));
    if (behind) this.#read();
  }

  #read(): void {
    this.#behind = true;
    if (this.#reading) return;
    this.#reading = true;
    this.#readAll()
      .catch((error: unknown) => {
        this.#onFailure(error);
        this.#link.close(CLOSE.tryLater, toAppError(error).code);
      })
      .finally(() => {
        this.#reading = false;
        if (this.#behind && !this.#link.hasEnded) this.#read();
      });
  }

  async #readAll(): Promise<void> {
    while (this.#behind) {
      await this.#link.room();
      if (this.#link.hasEnded) return;
      this.#behind = false;
      const { changes, more } = await this.#follower.read(LIMITS.eventPageChanges);
      for (const change of changes) {
        if (!this.#link.hasRoom) await this.#link.room();
        this.#link.write(JSON.stringify(eventShape(change)));
      }
      this.#behind ||= more;
    }
  }
}
