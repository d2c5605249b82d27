import { LIMITS } from '../Models/limits.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import type { Guesses, GuessPolicy } from '../Storage/guesses.ts';
import { createRecentWork } from './recent_work.ts';

export type GuessLimits = {
  readonly free: number; // passwords that may be tried in a row
  readonly waitMs: number; // then, between two; doubled with each
  readonly waitMsMax: number;
  readonly max: number; // in a row at all
};
export const GUESS_LIMITS: GuessLimits = {
  free: LIMITS.guessesFree,
  waitMs: LIMITS.guessWaitMs,
  waitMsMax: LIMITS.guessWaitMsMax,
  max: LIMITS.guessesMax,
};

/**
 * Limits how many passwords are tried for a name, whether there is such a user or not. A guess can be checked by whoever gets KE2, so it is
 * counted before that is answered, and no later word is needed; a FINISH that proves the password takes it back.
 */
export type GuessLimit = {
  /**
   * @param device one that has shown that it is this user's; it has a counter of its own, which nobody else can use up
   * @param request the guess itself: said again, it is not counted again
   */
  spend(guess: { foldedName: string; device: Uint8Array | null; request: Uint8Array }): Promise<{ counter: Uint8Array; waitMs: number }>;
  /**
   * What OPAQUE answers a registration would check a password too, once somebody else has the name: so it is counted, by name, in a counter of its own,
   * which nobody uses up who may not register.
   */
  spendOnRegistration(registration: { foldedName: string; request: Uint8Array }): Promise<{ waitMs: number }>;
  /** The password was right. */
  forgive(guess: { foldedName: string; counter: Uint8Array }): Promise<void>;
  /** Those of strangers, whom somebody has given a password by whom they are not known: who has no known device could never say it otherwise. */
  forget(foldedName: string): Promise<void>;
};

const KE1S_MAX = 4096;
const COUNTER_BYTES = 16;
const NO_DEVICE = new Uint8Array(16);
const REGISTRATION = new Uint8Array(16).fill(0xff); // where the device stands
/** Others that log in at the same moment may be about to succeed, which makes the row end. */
const SETTLING_MS = 3000;
const SETTLING_RETRY_MS = 1000;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export function guessPolicy({ free, waitMs, waitMsMax, max }: GuessLimits, atMs: number): GuessPolicy {
  return ({ inRow, lastMs }) => {
    if (inRow < free) return 0;
    if (inRow >= max) return Number.POSITIVE_INFINITY;
    const waitedMs = Math.max(0, atMs - lastMs); // a clock that went back must not lengthen it
    const leftMs = Math.min(waitMsMax, waitMs * 2 ** (inRow - free)) - waitedMs;
    if (leftMs <= 0) return 0;
    return waitedMs < SETTLING_MS ? Math.min(leftMs, SETTLING_RETRY_MS) : leftMs;
  };
}

export function createGuessLimit(deps: { guesses: Guesses; master: Uint8Array; limits: GuessLimits; now: () => number }): GuessLimit {
  const { guesses, limits, now } = deps;
  const key = p.hkdf({ secret: deps.master, salt: new Uint8Array(0), info: 'driftless guess counters 1', bytes: 32 });
  const spent = createRecentWork<number>(KE1S_MAX, (waitMs) => waitMs === 0);
  const counterOf = (foldedName: string, device: Uint8Array | null): Uint8Array =>
    p.hmac(key, device ?? NO_DEVICE, Buffer.from(foldedName)).subarray(0, COUNTER_BYTES);
  const spend: GuessLimit['spend'] = async ({ foldedName, device, request }) => {
    const counter = counterOf(foldedName, device);
    const guess = Buffer.concat([counter, request]);
    const before = spent.get(guess);
    if (before !== undefined) return { counter, waitMs: await before };
    const atMs = now();
    const spending = guesses.spend(hex(counter), atMs, guessPolicy(limits, atMs));
    spent.put(guess, spending);
    return { counter, waitMs: await spending };
  };
  return {
    spend,
    spendOnRegistration: (registration) => spend({ ...registration, device: REGISTRATION }),
    async forgive({ foldedName, counter }) {
      // One who knows the password may let strangers try again, but not faster than before.
      await guesses.shorten(
        new Map([
          [hex(counterOf(foldedName, null)), limits.free],
          [hex(counter), 0],
        ]),
      );
    },
    forget: (foldedName) => guesses.shorten(new Map([[hex(counterOf(foldedName, null)), 0]])),
  };
}
