import type { Transaction } from 'kysely';
import { foldName } from '../../Models/names.ts';
import { type AccountsSchema, NOBODY, passwordColumns } from '../accounts_rows.ts';
import type { Database } from '../database.ts';
import type { ListedUser, UserAdmin } from '../user_admin.ts';
import { endSessions, lockCounter } from './sql_sessions_end.ts';

const USERS_PAGE = 1000;
const NO_RECORD = Buffer.alloc(192);

export function userAdminOn({ db, write }: Database<AccountsSchema>): UserAdmin {
  const listed = () =>
    db
      .selectFrom('users as u')
      .select(['u.id', 'u.name', 'u.role', 'u.disabled', 'u.deleted_at_ms as deletedAtMs', 'u.created_at_ms as createdAtMs'])
      .select((e) => [
        e
          .selectFrom('sessions as s')
          .select((s) => s.fn.countAll<number>().as('count'))
          .whereRef('s.user_id', '=', 'u.id')
          .where('s.state', '<>', 'ended')
          .as('sessions'),
        e
          .selectFrom('sessions as s')
          .select((s) => s.fn.max('s.last_seen_ms').as('last'))
          .whereRef('s.user_id', '=', 'u.id')
          .as('lastSeenMs'),
      ])
      .where('u.id', '!=', NOBODY.id);
  type Row = Awaited<ReturnType<ReturnType<typeof listed>['execute']>>[number];
  const listedOf = ({ disabled, deletedAtMs, sessions, ...rest }: Row): ListedUser => ({
    ...rest,
    state: deletedAtMs !== null ? 'deleted' : disabled !== 0 ? 'disabled' : 'active',
    sessions: Number(sessions),
  });

  /** Sessions that begin at the same time wait for this, and those that began before are ended. */
  const endingAll = (
    change: (trx: Transaction<AccountsSchema>) => Promise<boolean>,
    userId: string,
    reason: Parameters<typeof endSessions>[2]['reason'],
    atMs: number,
  ) =>
    write(async (trx) => {
      await lockCounter(trx);
      return (await change(trx)) ? endSessions(trx, (e) => e('user_id', '=', userId), { reason, atMs }) : 0;
    });

  return {
    async users(after) {
      return (await listed().where('u.folded', '>', foldName(after)).orderBy('u.folded').limit(USERS_PAGE).execute()).map(listedOf);
    },
    async user(name) {
      const row = await listed().where('u.folded', '=', foldName(name)).executeTakeFirst();
      return row === undefined ? null : listedOf(row);
    },
    setRole: (userId, role, atMs) =>
      endingAll(
        async (trx) => {
          const { numUpdatedRows } = await trx
            .updateTable('users')
            .set({ role })
            .where('id', '=', userId)
            .where('role', '!=', role)
            .executeTakeFirst();
          return numUpdatedRows > 0n && role === 'user';
        },
        userId,
        'role_changed',
        atMs,
      ),
    resetPassword: (userId, password, atMs) =>
      endingAll(
        async (trx) => {
          const update = trx
            .updateTable('users')
            .set(passwordColumns(password))
            .where('id', '=', userId)
            .where('deleted_at_ms', 'is', null);
          return (await update.executeTakeFirst()).numUpdatedRows > 0n;
        },
        userId,
        'password_changed',
        atMs,
      ),
    deleteUser: (userId, atMs) =>
      endingAll(
        async (trx) => {
          const gone = { record: NO_RECORD, role: 'user' as const, disabled: 1, deleted_at_ms: atMs };
          await trx.deleteFrom('profiles').where('user_id', '=', userId).execute();
          const update = trx.updateTable('users').set(gone).where('id', '=', userId).where('deleted_at_ms', 'is', null);
          return (await update.executeTakeFirst()).numUpdatedRows > 0n;
        },
        userId,
        'user_disabled',
        atMs,
      ),
    restoreUser: (userId, password) =>
      write(async (trx) => {
        const back = { ...passwordColumns(password), disabled: 0, deleted_at_ms: null };
        await trx.updateTable('users').set(back).where('id', '=', userId).where('deleted_at_ms', 'is not', null).execute();
      }),
  };
}
