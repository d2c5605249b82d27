import type { Transaction } from 'kysely';
import type { AccountsSchema } from './accounts_rows.ts';
import type { Database } from './database.ts';
import type { ProfilesReader } from './profiles.ts';

/** On whatever `database` gives; `null` stands for accounts that nobody has set up yet. */
export function profilesReaderOn(database: () => Promise<Database<AccountsSchema> | null>): ProfilesReader {
  return {
    async userProfile(userId) {
      const opened = await database();
      const row = await opened?.db.selectFrom('profiles').selectAll().where('user_id', '=', userId).executeTakeFirst();
      return { displayName: row?.display_name ?? '', email: row?.email ?? '' };
    },
  };
}

/** What is not given stays. */
export async function setProfile(
  trx: Transaction<AccountsSchema>,
  userId: string,
  columns: { display_name: string } | { email: string },
): Promise<void> {
  await trx
    .insertInto('profiles')
    .values({ user_id: userId, display_name: '', email: '', ...columns })
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(columns))
    .execute();
}
