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

/** mulberry32 */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
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
