import type { Transaction } from 'kysely';
import type { Database } from './database.ts';
import type { groupWrites } from './group_writes.ts';
import type { Guesses } from './guesses.ts';

export type GuessTables = { guess_counters: { counter: string; in_row: number; last_ms: number } };
type Group<Schema> = ReturnType<typeof groupWrites<Transaction<Schema>>>;

/** @param group writes of several subjects share a transaction, hence a sync of the disk */
export function guessesOn(database: Database<GuessTables>, group: Group<GuessTables>): Guesses {
  return {
    spend: (counter, atMs, policy) =>
      group(async (trx) => {
        // The row is locked by the first statement, also where it was not there.
        const row = await trx
          .insertInto('guess_counters')
          .values({ counter, in_row: 0, last_ms: atMs })
          .onConflict((conflict) => conflict.column('counter').doUpdateSet((e) => ({ in_row: e.ref('guess_counters.in_row') })))
          .returning(['in_row as inRow', 'last_ms as lastMs'])
          .executeTakeFirstOrThrow();
        const waitMs = policy(row);
        // A time to come is that of a clock that went back since: nobody waits until it is reached.
        if (waitMs > 0 && row.lastMs <= atMs) return waitMs;
        const inRow = waitMs > 0 ? row.inRow : row.inRow + 1;
        const said = trx.updateTable('guess_counters').set({ in_row: inRow, last_ms: atMs });
        await said.where('counter', '=', counter).execute();
        return waitMs;
      }),
    shorten: (rows) =>
      group(async (trx) => {
        for (const [counter, inRow] of rows) {
          if (inRow === 0) await trx.deleteFrom('guess_counters').where('counter', '=', counter).execute();
          const shortened = trx.updateTable('guess_counters').set({ in_row: inRow });
          if (inRow > 0) await shortened.where('counter', '=', counter).where('in_row', '>', inRow).execute();
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
