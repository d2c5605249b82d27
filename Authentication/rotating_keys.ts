import { randomBytes } from 'node:crypto';

/** Random keys that live in memory only: the newest, and the one before it for what was made just before the change. */
export type RotatingKeys = { newest(): Buffer; all(): readonly Buffer[] };

/** @param now milliseconds; a clock that jumps costs the clients one repeat, no more */
export function rotatingKeys(options: { periodMs: number; now: () => number }): RotatingKeys {
  let keys = [randomBytes(32)];
  let madeAtMs = options.now();
  const rotate = (): void => {
    const ageMs = options.now() - madeAtMs;
    if (ageMs >= 0 && ageMs < options.periodMs) return;
    const previous = ageMs >= 0 && ageMs < 2 * options.periodMs ? keys.slice(0, 1) : [];
    keys = [randomBytes(32), ...previous];
    madeAtMs = options.now();
  };
  return {
    newest() {
      rotate();
      return keys[0] as Buffer;
    },
    all() {
      rotate();
      return keys;
    },
  };
}
