import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

type Timer = { readonly at: number; readonly then: () => void };

/** Time that stands still until a test moves it. Chance is always the middle. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  readonly now = (): number => this.#now;
  readonly random = (): number => 0.5;
  readonly after = (ms: number, then: () => void): (() => void) => {
    const timer = { at: this.#now + ms, then };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get waiting(): number {
    return this.#timers.size;
  }

  /** Runs what is due on the way, in its order, and lets what it wakes run too. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let next = this.#first(end); next !== undefined; next = this.#first(end)) {
      this.#timers.delete(next);
      this.#now = next.at;
      next.then();
      await setImmediate();
    }
    this.#now = end;
  }

  #first(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer;
    return first;
  }
}
