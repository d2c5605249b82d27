import type { Kysely, Selectable, Transaction } from 'kysely';
import { sql } from 'kysely';
import { foldName } from '../Models/names.ts';
import type { ChangeResult } from '../Models/session_changes.ts';
import type { EndReason } from '../Models/session_ends.ts';
import type { Account } from './account.ts';
import type { Accounts } from './accounts.ts';
import type { GuessTables } from './sql/sql_guesses.ts';
import { statement } from './statement.ts';

type UsersTable = {
  id: string;
  name: string;
  folded: string;
  record: Buffer;
  ksf_memory_kib: number;
  ksf_iterations: number;
  ksf_parallelism: number;
  role: 'user' | 'admin';
  disabled: number;
  deleted_at_ms: number | null;
  created_at_ms: number;
};
type SessionsTable = {
  id: string;
  user_id: string;
  device_id: string;
  state: 'pending' | 'live' | 'ended';
  created_at_ms: number;
  last_seen_ms: number;
  ended_at_ms: number | null;
  ended_sequence: number | null;
  end_reason: EndReason | null;
  interactive: number;
  change_number: number;
  change_transaction: string | null;
  change_result: ChangeResult | null;
};
type DevicesTable = {
  user_id: string;
  id: string;
  name: string;
  given_name: string | null;
  first_seen_ms: number;
  last_seen_ms: number;
  revoked_at_ms: number;
};
export type AccountsSchema = {
  users: UsersTable;
  devices: DevicesTable;
  sessions: SessionsTable;
  ended_counter: { one: number; value: number; open_sessions: number };
  invite_codes: {
    digest: Buffer;
    uses_left: number;
    expires_at_ms: number;
    quota_bytes: number | null;
    label: string | null;
    made_by: string;
    made_at_ms: number;
  };
  invited: { user_id: string; digest: Buffer; quota_bytes: number | null };
  profiles: { user_id: string; display_name: string; email: string };
} & GuessTables;
type Reading = Kysely<AccountsSchema>;

/** Of a device. One that was forgotten and comes back is another one, to which nothing that it was given before belongs. */
export const DEVICE_SINCE = sql<number>`CASE WHEN revoked_at_ms > 0 THEN revoked_at_ms ELSE first_seen_ms END`;

/** The row that is read for a name that nobody has, which must not cost less than one that somebody has. No user can have its name. */
export const NOBODY: Account = {
  id: '0'.repeat(32),
  name: '',
  role: 'user',
  disabled: true,
  record: Buffer.alloc(192),
  ksf: { memoryKiB: 0, iterations: 0, parallelism: 0 },
};

function accountOf(row: Selectable<UsersTable>): Account {
  const ksf = { memoryKiB: row.ksf_memory_kib, iterations: row.ksf_iterations, parallelism: row.ksf_parallelism };
  return { id: row.id, name: row.name, role: row.role, disabled: row.disabled !== 0, record: row.record, ksf };
}

const usersWhere = {
  id: statement((db: Reading, { value }: { value: string }) => db.selectFrom('users').selectAll().where('id', '=', value)),
  folded: statement((db: Reading, { value }: { value: string }) => db.selectFrom('users').selectAll().where('folded', '=', value)),
};

export async function accountWhere(db: Reading, column: keyof typeof usersWhere, value: string): Promise<Account | null> {
  const [row] = (await usersWhere[column](db, { value })).rows;
  return row === undefined ? null : accountOf(row);
}

const userForLogin = statement((db: Reading, { folded, deviceId }: { folded: string; deviceId: string }) => {
  const known = sql<string>`coalesce((SELECT folded FROM users WHERE folded = ${folded}), ${NOBODY.name})`;
  return db
    .selectFrom('users')
    .leftJoin('devices', (join) => join.onRef('devices.user_id', '=', 'users.id').on('devices.id', '=', deviceId))
    .selectAll('users')
    .select(DEVICE_SINCE.$castTo<number | null>().as('deviceSinceMs'))
    .where('folded', '=', known);
});

/** One statement that finds one row, whoever it is asked for. */
export async function accountForLogin(db: Reading, name: string, deviceId: string): ReturnType<Accounts['accountForLogin']> {
  const [row] = (await userForLogin(db, { folded: foldName(name), deviceId })).rows;
  if (row === undefined) throw new Error('the row that is read for a name that nobody has is not there');
  return { account: accountOf(row), deviceSinceMs: row.deviceSinceMs };
}

/** As `Accounts.ksfShares`. */
export async function ksfShares(db: Reading): Promise<{ readonly ksf: Account['ksf']; readonly users: number }[]> {
  const columns = ['ksf_memory_kib', 'ksf_iterations', 'ksf_parallelism'] as const;
  const rows = await db
    .selectFrom('users')
    .select(columns)
    .select((e) => e.fn.countAll<number>().as('users'))
    .where('id', '!=', NOBODY.id)
    .where('deleted_at_ms', 'is', null)
    .groupBy(columns)
    .orderBy('ksf_memory_kib')
    .orderBy('ksf_iterations')
    .orderBy('ksf_parallelism')
    .execute();
  return rows.map((row) => ({
    ksf: { memoryKiB: row.ksf_memory_kib, iterations: row.ksf_iterations, parallelism: row.ksf_parallelism },
    users: Number(row.users),
  }));
}

export function passwordColumns({ record, ksf }: Pick<Account, 'record' | 'ksf'>) {
  return { record, ksf_memory_kib: ksf.memoryKiB, ksf_iterations: ksf.iterations, ksf_parallelism: ksf.parallelism };
}

function userRow(account: Account, atMs: number): UsersTable {
  const { id, name, role } = account;
  const disabled = account.disabled ? 1 : 0;
  return { id, name, folded: foldName(name), ...passwordColumns(account), role, disabled, deleted_at_ms: null, created_at_ms: atMs };
}

export async function addUser(trx: Transaction<AccountsSchema>, account: Account, atMs: number): Promise<void> {
  await trx
    .insertInto('users')
    .values(userRow(account, atMs))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
