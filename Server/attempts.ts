/** A bucket of attempts for each key: taken before the attempt is made, given back when it was a good one. */
export type Attempts = {
  /** @returns 0 when there was one, which is then taken, else the milliseconds until there is one */
  take(key: string): number;
  giveBack(key: string): void;
};

const KEYS_MAX = 100_000;

/** @param rate most: so many at once; restoreMs: then one each so often. The keys not used for longest are forgotten first. */
export function createAttempts(rate: { readonly most: number; readonly restoreMs: number }, monotonicMs: () => number): Attempts {
  const buckets = new Map<string, { left: number; atMs: number }>();

  function refilled(key: string): { left: number; atMs: number } {
    const atMs = monotonicMs();
    const bucket = buckets.get(key) ?? { left: rate.most, atMs };
    return { left: Math.min(rate.most, bucket.left + Math.max(0, atMs - bucket.atMs) / rate.restoreMs), atMs };
  }

  function keep(key: string, bucket: { left: number; atMs: number }): void {
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size <= KEYS_MAX) return;
    const [oldest] = buckets.keys();
    if (oldest !== undefined) buckets.delete(oldest);
  }

  return {
    take(key) {
      const { left, atMs } = refilled(key);
      const allowed = left >= 1;
      keep(key, { left: allowed ? left - 1 : left, atMs });
      return allowed ? 0 : Math.ceil((1 - left) * rate.restoreMs);
    },
    giveBack(key) {
      const { left, atMs } = refilled(key);
      keep(key, { left: Math.min(rate.most, left + 1), atMs });
    },
  };
}
