import type { Transaction } from 'kysely';
import { foldName } from '../../Models/names.ts';
import type { AccountsSchema } from '../accounts_rows.ts';
import type { Database } from '../database.ts';
import type { ProfilesReader } from '../profiles.ts';

const NAMES_EACH = 1000;

/** On whatever `database` gives; `null` stands for accounts that nobody has set up yet. */
export function profilesReaderOn(database: () => Promise<Database<AccountsSchema> | null>): ProfilesReader {
  return {
    async userProfile(userId) {
      const opened = await database();
      const row = await opened?.db.selectFrom('profiles').selectAll().where('user_id', '=', userId).executeTakeFirst();
      return { displayName: row?.display_name ?? '', email: row?.email ?? '' };
    },
    async displayNames(userNames) {
      const opened = await database();
      const found = new Map<string, string>();
      for (let from = 0; opened !== null && from < userNames.length; from += NAMES_EACH) {
        const folded = userNames.slice(from, from + NAMES_EACH).map(foldName);
        const rows = await opened.db
          .selectFrom('profiles')
          .innerJoin('users', 'users.id', 'profiles.user_id')
          .select(['users.name', 'display_name as displayName'])
          .where('users.folded', 'in', folded)
          .where('display_name', '<>', '')
          .execute();
        for (const { name, displayName } of rows) found.set(name, displayName);
      }
      return found;
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
