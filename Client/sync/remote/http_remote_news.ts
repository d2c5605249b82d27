import { isBefore, type Moment } from '../../../Models/events.ts';
import type { Past } from '../../../Models/tree_frames.ts';

type OnHint = () => void;

/** `null`: not known to be before anything. */
function later(a: Moment | null, b: Moment | null): Moment | null {
  if (a === null || b === null || a.server !== b.server) return null;
  return isBefore(a, b) ? b : a;
}

/** Tells hints of what others did apart from those of what was pushed here: these come too, before the push is answered or after it. */
export class News {
  #known: Moment | null = null; // nothing that was done before it is news
  #pushes = 0; // under way
  readonly #waiting = new Map<OnHint, Moment | null>(); // until the pushes are answered

  get isPushing(): boolean {
    return this.#pushes > 0;
  }

  /** @param at when the last of what is new was done; `null` if that was not told, and then it is news */
  hear(at: Moment | null, onHint: OnHint): void {
    if (this.#pushes > 0) {
      const before = this.#waiting.get(onHint);
      this.#waiting.set(onHint, before === undefined ? at : later(before, at));
    } else if (at === null || this.#known === null || !isBefore(at, this.#known)) onHint();
  }

  /** @returns the cursor past the push, if it told one */
  async afterPush(push: () => Promise<Past | null>): Promise<string | null> {
    this.#pushes += 1;
    try {
      const past = await push();
      if (past?.at != null) this.#known = past.at;
      return past?.cursor ?? null;
    } finally {
      this.#pushes -= 1;
      if (this.#pushes === 0) this.#hearWaiting();
    }
  }

  #hearWaiting(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [onHint, at] of waiting) this.hear(at, onHint);
  }
}
