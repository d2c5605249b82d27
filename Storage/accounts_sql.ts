import { existsSync } from 'node:fs';
import type { Transaction } from 'kysely';
import { foldName } from '../Models/names.ts';
import type { Accounts, AccountsReader } from './accounts.ts';
import { accountForLogin, accountWhere, addUser, ksfShares, NOBODY, type AccountsSchema as Schema } from './accounts_rows.ts';
import { type Database, type DatabaseAddress, openDatabase } from './database.ts';
import { groupWrites } from './group_writes.ts';
import type { InvitedReader } from './invite_codes.ts';
import type { ProfilesReader } from './profiles.ts';
import type { SessionsReader } from './sessions.ts';
import { guessesOn } from './sql/sql_guesses.ts';
import { inviteCodesOn, invitedReaderOn } from './sql/sql_invite_codes.ts';
import { passwordsOn } from './sql/sql_passwords.ts';
import { profilesReaderOn } from './sql/sql_profiles.ts';
import { sessionsOn, sessionsReaderOn } from './sql/sql_sessions.ts';
import { endSessions } from './sql/sql_sessions_end.ts';
import { userAdminOn } from './sql/sql_user_admin.ts';

const MIGRATIONS = new URL('./migrations/accounts/', import.meta.url);
const NAMES_MAX = 1000;

/** The reading half, on whatever `database` gives; `null` stands for accounts that nobody has set up yet. */
function readerOn(
  database: () => Promise<Database<Schema> | null>,
): Omit<AccountsReader, 'close' | keyof SessionsReader | keyof InvitedReader | keyof ProfilesReader> {
  return {
    async findUser(name) {
      const opened = await database();
      const account = opened === null ? null : await accountWhere(opened.db, 'folded', foldName(name));
      return account === null || account.disabled ? null : { id: account.id, name: account.name };
    },
    async userNames(ids) {
      if (ids.length > NAMES_MAX) throw new RangeError(`at most ${NAMES_MAX} ids at a time`);
      const opened = await database();
      if (opened === null || ids.length === 0) return new Map();
      const rows = await opened.db.selectFrom('users').select(['id', 'name']).where('id', 'in', ids).execute();
      return new Map(rows.map((row) => [row.id, row.name]));
    },
  };
}

/** @throws AppError as `openDatabase` */
export async function openAccounts(address: DatabaseAddress): Promise<Accounts> {
  const database = await openDatabase<Schema>(address, MIGRATIONS);
  if ((await accountWhere(database.db, 'id', NOBODY.id)) === null) {
    const nobody = database.write((trx) => addUser(trx, NOBODY, 0));
    await nobody.catch((error: unknown) => database.close().then(() => Promise.reject(error)));
  }
  const group = groupWrites<Transaction<Schema>>((body) => database.write(body));
  return {
    ...readerOn(async () => database),
    ...sessionsReaderOn(async () => database),
    ...invitedReaderOn(async () => database),
    ...profilesReaderOn(async () => database),
    ...sessionsOn(database, group),
    ...inviteCodesOn(database),
    ...passwordsOn(database),
    ...userAdminOn(database),
    guesses: guessesOn(database, group),
    findAccount: (name) => accountWhere(database.db, 'folded', foldName(name)),
    accountForLogin: (name, deviceId) => accountForLogin(database.db, name, deviceId),
    async hasAccounts() {
      const any = database.db.selectFrom('users').select('id').where('id', '!=', NOBODY.id).limit(1);
      return (await any.executeTakeFirst()) !== undefined;
    },
    accountById: (id) => accountWhere(database.db, 'id', id),
    ksfShares: () => ksfShares(database.db),
    addAccount: (account, atMs) =>
      database.write(async (trx) => {
        await addUser(trx, account, atMs);
        const stored = await accountWhere(trx, 'folded', foldName(account.name));
        if (stored === null) throw new Error('an account that was just written is not there');
        return stored;
      }),
    setDisabled: (userId, disabled, atMs) =>
      database.write(async (trx) => {
        await trx
          .updateTable('users')
          .set({ disabled: disabled ? 1 : 0 })
          .where('id', '=', userId)
          .where('deleted_at_ms', 'is', null)
          .execute();
        if (disabled) await endSessions(trx, (e) => e('user_id', '=', userId), { reason: 'user_disabled', atMs });
      }),
    close: () => database.close(),
  };
}

/**
 * For the HTTP server: opens nothing until it is asked, and while the daemon has not made its SQLite file yet there are simply no users.
 * Methods throw AppError `storage_unavailable` when a database that exists does not answer; the next call tries again.
 */
export function openAccountsReader(address: DatabaseAddress): AccountsReader {
  let opening: Promise<Database<Schema>> | null = null;
  const database = async (): Promise<Database<Schema> | null> => {
    if (opening === null && address.kind === 'sqlite' && !existsSync(address.file)) return null;
    opening ??= openDatabase<Schema>({ ...address, readOnly: true }, MIGRATIONS);
    try {
      return await opening;
    } catch (error) {
      opening = null;
      throw error;
    }
  };
  return {
    ...readerOn(database),
    ...sessionsReaderOn(database),
    ...invitedReaderOn(database),
    ...profilesReaderOn(database),
    async close() {
      await opening?.then((opened) => opened.close());
    },
  };
}
