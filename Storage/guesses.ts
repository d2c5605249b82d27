/** Passwords that were tried since the last success. */
export type GuessRow = { readonly inRow: number; readonly lastMs: number };
/** @returns 0 if one more may be tried now, else how many milliseconds later, perhaps Infinity. Asked again when a transaction is. */
export type GuessPolicy = (row: GuessRow) => number;

/**
 * Rows of guesses, each under a name of its own (32 hex digits). Every write is durable when its promise resolves.
 * All methods throw AppError `storage_unavailable`, `storage_full`, `corrupt`. Contract: Storage/testing/guesses_contract.ts.
 */
export interface Guesses {
  /** Counts one more, if the policy lets it be tried; of two at the same time each sees the other. The time of one that was counted is never later than the last that was refused. @returns what the policy said */
  spend(counter: string, atMs: number, policy: GuessPolicy): Promise<number>;
  /** Each row has at most so many guesses now; 0 forgets it. */
  shorten(rows: ReadonlyMap<string, number>): Promise<void>;
  /** Forgets all but `max`, first those that say least: with the fewest guesses, then the oldest. @returns how many */
  trim(max: number): Promise<number>;
}
