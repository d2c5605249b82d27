/** The links that loss_table.ts and loss_virtual.ts try. */
export const LOSSES = [0, 0.1, 0.2, 0.3, 0.5];
export const FAULTS = [
  { name: 'nothing else', duplicate: 0, reorder: 0 },
  { name: '20 % repeated', duplicate: 0.2, reorder: 0 },
  { name: '30 % reordered', duplicate: 0, reorder: 0.3 },
  { name: 'both', duplicate: 0.2, reorder: 0.3 },
];
export const ONE_WAY_MS = 40;
/** Where it is not measured: as on two processors with what the daemon asks of new accounts. */
export const STRETCHING_MS = 222;
/** By loss: how many succeed, and how long the slowest hundredth takes. */
export const TARGETS: Record<string, { successMin: number; withinMs: number }> = {
  '0.1': { successMin: 0.9999, withinMs: 3000 },
  '0.3': { successMin: 0.99, withinMs: 30_000 },
};

export function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
