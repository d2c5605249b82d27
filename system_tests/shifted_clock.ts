import { readFileSync } from 'node:fs';

/**
 * Loaded into a process before anything else (`--import`), it moves the time of day by so many milliseconds as the file named by DRIFTLESS_TEST_CLOCK says, also
 * while the process runs: as after a sleep of the machine, in which no other clock goes on.
 */
const file = process.env.DRIFTLESS_TEST_CLOCK;
const LOOK_MS = 10;
const trueNow = Date.now;
let shiftMs = 0;
let lookedAt = Number.NEGATIVE_INFINITY;

function now(): number {
  if (file !== undefined && performance.now() - lookedAt >= LOOK_MS) {
    lookedAt = performance.now();
    shiftMs = Number(readFileSync(file, 'utf8'));
  }
  return trueNow() + shiftMs;
}

globalThis.Date = class extends Date {
  constructor(...given: [] | [number | string | Date]) {
    super(...((given.length === 0 ? [now()] : given) as [number]));
  }
  static override now(): number {
    return now();
  }
} as DateConstructor;
