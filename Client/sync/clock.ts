import { setTimeout as startTimer } from 'node:timers';

/** Time and chance, so that a simulation can bring its own. */
export type Clock = {
  readonly now: () => number; // ms, only ever compared with itself
  /** @returns ends it */
  readonly after: (ms: number, then: () => void) => () => void;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
};

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, then) => {
    const timer = startTimer(then, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

export function sleep(clock: Pick<Clock, 'after'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** A pause before the n-th attempt (from 1), doubling, and never the same for all that wait. */
export function backOffMs(attempt: number, { first, most }: { readonly first: number; readonly most: number }, random: number): number {
  return Math.min(most, first * 2 ** (attempt - 1)) * (0.5 + random / 2);
}
