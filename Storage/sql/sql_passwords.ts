import { hash } from 'node:crypto';
import { type AccountsSchema, accountWhere, passwordColumns } from '../accounts_rows.ts';
import type { Database } from '../database.ts';
import type { Passwords } from '../passwords.ts';
import { endSessions, lockCounter } from './sql_sessions_end.ts';

export function passwordsOn({ write }: Pick<Database<AccountsSchema>, 'write'>): Passwords {
  return {
    changePassword: ({ userId, provenDigest, record, ksf, endSessions: ends, exceptSessions, atMs }) =>
      write(async (trx) => {
        await lockCounter(trx); // a login that was begun with the old password has its session now, and it is ended, or is refused
        const account = await accountWhere(trx, 'id', userId);
        if (account === null) return 'stale';
        if (account.record.equals(record)) return 'same';
        if (!hash('sha256', account.record, 'buffer').equals(provenDigest)) return 'stale';
        await trx.updateTable('users').set(passwordColumns({ record, ksf })).where('id', '=', userId).execute();
        if (ends) {
          await endSessions(trx, (e) => e.and([e('user_id', '=', userId), e('id', 'not in', ['', ...exceptSessions])]), {
            reason: 'password_changed',
            atMs,
          });
        }
        return 'changed';
      }),
  };
}
