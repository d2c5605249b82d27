import { type Source, sourceGroup } from './source.ts';

export type Rate = { readonly perSecond: number; readonly burst: number };
/** @param kind what is asked for; each kind has a bucket of its own. @returns 0 when there is a token, which is then taken, else the milliseconds until there is one */
export type RateLimit = (source: Source, kind: string) => number;

const SOURCES_MAX = 100_000;

/** A token bucket for each kind of each source. The sources seen longest ago are forgotten first, by when their buckets are full again. */
export function createRateLimit(rate: Rate, now: () => number): RateLimit {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  return (source, kind) => {
    const group = `${kind} ${sourceGroup(source)}`;
    const atMs = now();
    const bucket = buckets.get(group) ?? { tokens: rate.burst, atMs };
    const earned = (Math.max(0, atMs - bucket.atMs) / 1000) * rate.perSecond;
    const tokens = Math.min(rate.burst, bucket.tokens + earned);
    const allowed = tokens >= 1;
    buckets.delete(group);
    buckets.set(group, { tokens: allowed ? tokens - 1 : tokens, atMs });
    if (buckets.size > SOURCES_MAX) {
      const [oldest] = buckets.keys();
      if (oldest !== undefined) buckets.delete(oldest);
    }
    return allowed ? 0 : Math.ceil(((1 - tokens) / rate.perSecond) * 1000);
  };
}
