import { seededRandom } from '../../../Models/testing/seeded_random.ts';

/** Choices that are the same for the same seed. */
export type Random = {
  /** From 0 (included) to 1 (excluded). */
  next(): number;
  chance(probability: number): boolean;
  /** From 0 (included) to `end` (excluded). */
  below(end: number): number;
  /** @throws Error when there is nothing to pick from */
  pick<T>(items: readonly T[]): T;
  shuffled<T>(items: readonly T[]): T[];
};

export function randomFrom(seed: number): Random {
  const next = seededRandom(seed);
  const below = (end: number): number => Math.floor(next() * end);
  function pick<T>(items: readonly T[]): T {
    const item = items[below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
  function shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items];
    const result: T[] = [];
    while (rest.length > 0) result.push(...rest.splice(below(rest.length), 1));
    return result;
  }
  return { next, chance: (probability) => next() < probability, below, pick, shuffled };
}
