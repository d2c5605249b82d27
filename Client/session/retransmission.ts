/**
 * When to send a datagram again (RFC 6298, RFC 9002; the ceiling is lower: decision 0005). What was not answered is sent twice from then on, a little
 * apart, so that one more loss does not cost another wait (RFC 9002, 6.2.4), and the wait is doubled from the second repeat on (decision 0102).
 */
export const TIMING = {
  secondProbeMs: 20,
  firstMs: 1000,
  floorMs: 250,
  ceilingMs: 2000,
  giveUpMs: 30_000,
  patienceMs: 3000,
  jitter: 0.1,
} as const;

/** Round-trip times seen so far, in milliseconds; `null` before the first. */
export type RoundTrips = { readonly smoothedMs: number; readonly variationMs: number } | null;

export function withSample(before: RoundTrips, sampleMs: number): RoundTrips {
  if (before === null) return { smoothedMs: sampleMs, variationMs: sampleMs / 2 };
  return {
    smoothedMs: (7 / 8) * before.smoothedMs + sampleMs / 8,
    variationMs: (3 / 4) * before.variationMs + Math.abs(before.smoothedMs - sampleMs) / 4,
  };
}

/**
 * How long to wait for a reply before the next repeat.
 * @param repeats how often the datagram was repeated already
 * @param random from 0 to 1, so that many clients do not repeat in step
 */
export function waitMs(roundTrips: RoundTrips, repeats: number, random: number): number {
  const base = roundTrips === null ? TIMING.firstMs : Math.max(TIMING.floorMs, roundTrips.smoothedMs + 4 * roundTrips.variationMs);
  const jitter = 1 + TIMING.jitter * (2 * random - 1);
  return Math.min(TIMING.ceilingMs, base * 2 ** Math.max(0, repeats - 1)) * jitter;
}
