import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Guesses, GuessPolicy, GuessRow } from '../guesses.ts';

const newCounter = (): string => randomBytes(16).toString('hex');
const always: GuessPolicy = () => 0;

/** What every implementation of Guesses must do. @param open gives empty rows, closed with the test */
export function guessesContract(kind: string, open: (t: TestContext) => Promise<Guesses>): void {
  const contract = (name: string, body: (guesses: Guesses) => Promise<void>): void => {
    test(`${kind}: ${name}`, async (t) => body(await open(t)));
  };
  /** The row as the next guess would see it, which is then not made. */
  async function rowOf(guesses: Guesses, counter: string): Promise<GuessRow> {
    let seen: GuessRow | undefined;
    const look: GuessPolicy = (row) => {
      seen = { ...row };
      return 1;
    };
    await guesses.spend(counter, 999, look);
    assert.ok(seen !== undefined);
    return seen;
  }

  contract('guesses are counted in their row, and one that is refused is not', async (guesses) => {
    const [one, other] = [newCounter(), newCounter()];
    assert.equal(await guesses.spend(one, 10, always), 0);
    assert.equal(await guesses.spend(one, 20, always), 0);
    assert.equal(await guesses.spend(one, 30, () => 5000), 5000);
    assert.equal(await guesses.spend(one, 30, () => Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
    assert.deepEqual(await rowOf(guesses, one), { inRow: 2, lastMs: 20 });
    assert.equal((await rowOf(guesses, other)).inRow, 0);
  });

  contract('the wait after a clock that went back begins when the next is refused, not at a time to come', async (guesses) => {
    const counter = newCounter();
    await guesses.spend(counter, 1_000_000, always);
    assert.equal(await guesses.spend(counter, 5000, () => 60_000), 60_000);
    const wait: GuessPolicy = ({ lastMs }) => Math.max(0, lastMs + 60_000 - 65_000);
    assert.equal(await guesses.spend(counter, 65_000, wait), 0);
    assert.equal((await rowOf(guesses, counter)).inRow, 2);
  });

  contract('of many at the same time each sees those before it', async (guesses) => {
    const counter = newCounter();
    const atMostTen: GuessPolicy = ({ inRow }) => (inRow < 10 ? 0 : 1);
    const said = await Promise.all(Array.from({ length: 40 }, () => guesses.spend(counter, 1, atMostTen)));
    assert.equal(said.filter((waitMs) => waitMs === 0).length, 10);
    assert.equal((await rowOf(guesses, counter)).inRow, 10);
  });

  contract('a row is shortened or forgotten, and never made longer', async (guesses) => {
    const [one, other] = [newCounter(), newCounter()];
    for (const counter of [one, other]) for (let n = 0; n < 5; n += 1) await guesses.spend(counter, n, always);
    await guesses.shorten(
      new Map([
        [one, 0],
        [other, 3],
        [newCounter(), 7],
      ]),
    );
    assert.equal((await rowOf(guesses, one)).inRow, 0);
    assert.deepEqual(await rowOf(guesses, other), { inRow: 3, lastMs: 4 });
    await guesses.shorten(new Map([[other, 4]]));
    assert.equal((await rowOf(guesses, other)).inRow, 3);
  });

  contract('of too many rows those with the fewest guesses go first, then the oldest', async (guesses) => {
    const counters = Array.from({ length: 6 }, newCounter);
    for (const [n, counter] of counters.entries()) await guesses.spend(counter, 100 - n, always);
    const heavy = counters[5] ?? '';
    await guesses.spend(heavy, 1, always); // the oldest, but of two
    assert.equal(await guesses.trim(6), 0);
    assert.equal(await guesses.trim(3), 3);
    const left = await Promise.all(counters.map((counter) => rowOf(guesses, counter)));
    assert.deepEqual(
      left.map(({ inRow }) => inRow),
      [1, 1, 0, 0, 0, 2],
    );
  });
}
