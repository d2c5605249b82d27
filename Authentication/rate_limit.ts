export type Rate = { readonly perSecond: number; readonly burst: number };
/** @param who has a bucket of its own. @returns 0 when there is a token, which is then taken, else the milliseconds until there is one */
export type RateLimit = (who: string) => number;

const BUCKETS_MAX = 100_000;

/** Token buckets. Those used longest ago are forgotten first, by when they are full again. */
export function createRateLimit(rate: Rate, now: () => number): RateLimit {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  return (who) => {
    const atMs = now();
    const bucket = buckets.get(who) ?? { tokens: rate.burst, atMs };
    const earned = (Math.max(0, atMs - bucket.atMs) / 1000) * rate.perSecond;
    const tokens = Math.min(rate.burst, bucket.tokens + earned);
    const allowed = tokens >= 1;
    buckets.delete(who);
    buckets.set(who, { tokens: allowed ? tokens - 1 : tokens, atMs });
    if (buckets.size > BUCKETS_MAX) {
      const [oldest] = buckets.keys();
      if (oldest !== undefined) buckets.delete(oldest);
    }
    return allowed ? 0 : Math.ceil(((1 - tokens) / rate.perSecond) * 1000);
  };
}
