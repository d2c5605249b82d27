import type { Kysely, Transaction } from 'kysely';
import type { Database } from '../database.ts';
import type { groupWrites } from '../group_writes.ts';
import type { Guesses } from '../guesses.ts';
import { statement } from '../statement.ts';

export type GuessTables = { guess_counters: { counter: string; in_row: number; last_ms: number } };
type Group<Schema> = ReturnType<typeof groupWrites<Transaction<Schema>>>;

type Row = GuessTables['guess_counters'];

/** The row is locked by it, also where it was not there. */
const lockRow = statement((db: Kysely<GuessTables>, { counter, last_ms }: Pick<Row, 'counter' | 'last_ms'>) =>
  db
    .insertInto('guess_counters')
    .values({ counter, in_row: 0, last_ms })
    .onConflict((conflict) => conflict.column('counter').doUpdateSet((e) => ({ in_row: e.ref('guess_counters.in_row') })))
    .returning(['in_row as inRow', 'last_ms as lastMs']),
);

const setRow = statement((db: Kysely<GuessTables>, { counter, in_row, last_ms }: Row) =>
  db.updateTable('guess_counters').set({ in_row, last_ms }).where('counter', '=', counter),
);

const shortenRow = statement((db: Kysely<GuessTables>, { counter, in_row }: Pick<Row, 'counter' | 'in_row'>) =>
  db.updateTable('guess_counters').set({ in_row }).where('counter', '=', counter).where('in_row', '>', in_row),
);

const forgetRow = statement((db: Kysely<GuessTables>, { counter }: Pick<Row, 'counter'>) =>
  db.deleteFrom('guess_counters').where('counter', '=', counter),
);

/** @param group writes of several subjects share a transaction, hence a sync of the disk */
export function guessesOn(database: Database<GuessTables>, group: Group<GuessTables>): Guesses {
  return {
    spend: (counter, atMs, policy) =>
      group(async (trx) => {
        const [row] = (await lockRow(trx, { counter, last_ms: atMs })).rows;
        if (row === undefined) throw new Error('a row of guesses that was just written is not there');
        const waitMs = policy(row);
        // A time to come is that of a clock that went back since: nobody waits until it is reached.
        if (waitMs > 0 && row.lastMs <= atMs) return waitMs;
        const inRow = waitMs > 0 ? row.inRow : row.inRow + 1;
        await setRow(trx, { counter, in_row: inRow, last_ms: atMs });
        return waitMs;
      }),
    shorten: (rows) =>
      group(async (trx) => {
        for (const [counter, inRow] of rows) {
          if (inRow === 0) await forgetRow(trx, { counter });
          else await shortenRow(trx, { counter, in_row: inRow });
        }
      }),
    async trim(max) {
      const { count } = await database.db
        .selectFrom('guess_counters')
        .select((e) => e.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
      const excess = Number(count) - max;
      if (excess <= 0) return 0;
      return group(async (trx) => {
        const least = trx.selectFrom('guess_counters').select('counter').orderBy('in_row').orderBy('last_ms').limit(excess);
        const gone = await trx.deleteFrom('guess_counters').where('counter', 'in', least).executeTakeFirst();
        return Number(gone.numDeletedRows);
      });
    },
  };
}
