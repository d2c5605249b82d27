import { existsSync } from 'node:fs';
import type { Kysely, Selectable, SqlBool, Transaction } from 'kysely';
import { type Expression, type ExpressionBuilder, sql } from 'kysely';
import { foldName } from '../Models/names.ts';
import type { Account, Accounts, AccountsReader, EndedSession, StoredSession } from './accounts.ts';
import { type Database, type DatabaseAddress, openDatabase } from './database.ts';
import { groupWrites } from './group_writes.ts';

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
};
type Schema = {
  users: UsersTable;
  devices: { user_id: string; id: string; name: string; first_seen_ms: number };
  sessions: SessionsTable;
  ended_counter: { one: number; value: number };
};
type Reading = Kysely<Schema>;

const MIGRATIONS = new URL('./migrations/accounts/', import.meta.url);
const ENDED_PAGE = 10_000;
const NAMES_MAX = 1000;
/** The row that is read for a name that nobody has, which must not cost less than one that somebody has. No user can have its name. */
const NOBODY: Account = {
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

async function accountWhere(db: Reading, column: 'id' | 'folded', value: string): Promise<Account | null> {
  const row = await db.selectFrom('users').selectAll().where(column, '=', value).executeTakeFirst();
  return row === undefined ? null : accountOf(row);
}

/** One statement that finds one row, whoever it is asked for. */
async function accountForLogin(db: Reading, name: string): Promise<Account> {
  const folded = sql<string>`coalesce((SELECT folded FROM users WHERE folded = ${foldName(name)}), ${NOBODY.name})`;
  return accountOf(await db.selectFrom('users').selectAll().where('folded', '=', folded).executeTakeFirstOrThrow());
}

async function sessionById(db: Reading, id: string): Promise<StoredSession | null> {
  const row = await db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(['sessions.id', 'user_id as userId', 'users.name as userName', 'disabled', 'role', 'device_id as deviceId', 'state'])
    .select(['sessions.created_at_ms as createdAtMs', 'last_seen_ms as lastSeenMs'])
    .where('sessions.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { disabled, ...session } = row;
  return { ...session, userDisabled: disabled !== 0 };
}

/** The reading half, on whatever `database` gives; `null` stands for accounts that nobody has set up yet. */
function readerOn(database: () => Promise<Database<Schema> | null>): Omit<AccountsReader, 'close'> {
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
    async devicesOf(userIds) {
      if (userIds.length > NAMES_MAX) throw new RangeError(`at most ${NAMES_MAX} users at a time`);
      const opened = await database();
      if (opened === null || userIds.length === 0) return [];
      const devices = await opened.db
        .selectFrom('devices as d')
        .select(['d.user_id as userId', 'd.id as deviceId', 'd.name'])
        .select((e) =>
          e
            .selectFrom('sessions as s')
            .select((s) => s.fn.countAll<number>().as('count'))
            .whereRef('s.user_id', '=', 'd.user_id')
            .whereRef('s.device_id', '=', 'd.id')
            .where('s.state', '<>', 'ended')
            .as('sessions'),
        )
        .where('d.user_id', 'in', userIds)
        .execute();
      return devices.map(({ sessions, ...device }) => ({ ...device, signedIn: Number(sessions) > 0 }));
    },
    async endedSessions(afterSequence) {
      const opened = await database();
      if (opened === null) return [];
      const rows = await opened.db
        .selectFrom('sessions')
        .select(['ended_sequence as sequence', 'id', 'ended_at_ms as endedAtMs'])
        .where('ended_sequence', '>', afterSequence)
        .orderBy('ended_sequence')
        .limit(ENDED_PAGE)
        .execute();
      return rows as EndedSession[]; // both numbers are there when the first one is, as the table's CHECK says
    },
  };
}

type Picks = (e: ExpressionBuilder<Schema, 'sessions'>) => Expression<SqlBool>;

/** Ends the sessions that `which` picks. The counter's row is locked first, so that numbers follow each other as the commits do. */
async function endSessions(trx: Transaction<Schema>, which: Picks, atMs: number): Promise<number> {
  const counter = trx.updateTable('ended_counter').where('one', '=', 1);
  const { value } = await counter.set({ value: sql`value` }).returning('value').executeTakeFirstOrThrow();
  const picked = await trx.selectFrom('sessions').select('id').where('state', '!=', 'ended').where(which).orderBy('id').execute();
  for (const [index, { id }] of picked.entries()) {
    await trx
      .updateTable('sessions')
      .set({ state: 'ended', ended_at_ms: atMs, ended_sequence: value + index + 1 })
      .where('id', '=', id)
      .execute();
  }
  if (picked.length > 0) await counter.set({ value: value + picked.length }).execute();
  return picked.length;
}

function userRow(account: Account, atMs: number): UsersTable {
  const { id, name, role, record, ksf } = account;
  const disabled = account.disabled ? 1 : 0;
  const stretching = { ksf_memory_kib: ksf.memoryKiB, ksf_iterations: ksf.iterations, ksf_parallelism: ksf.parallelism };
  return { id, name, folded: foldName(name), record, ...stretching, role, disabled, created_at_ms: atMs };
}

async function addUser(trx: Transaction<Schema>, account: Account, atMs: number): Promise<void> {
  await trx
    .insertInto('users')
    .values(userRow(account, atMs))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

function sessionsOn(
  database: Database<Schema>,
): Pick<Accounts, 'openSession' | 'session' | 'touchSession' | 'endSession' | 'lapseSessions'> {
  const group = groupWrites<Transaction<Schema>>((body) => database.write(body));
  return {
    openSession: ({ id, userId, deviceId, deviceName, atMs }) =>
      group(async (trx) => {
        const times = { created_at_ms: atMs, last_seen_ms: atMs, ended_at_ms: null, ended_sequence: null };
        await trx
          .insertInto('devices')
          .values({ user_id: userId, id: deviceId, name: deviceName, first_seen_ms: atMs })
          .onConflict((conflict) => conflict.columns(['user_id', 'id']).doUpdateSet({ name: deviceName }))
          .execute();
        await trx
          .insertInto('sessions')
          .values({ id, user_id: userId, device_id: deviceId, state: 'pending', ...times })
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute();
        const stored = await sessionById(trx, id);
        if (stored === null) throw new Error('a session that was just written is not there');
        return stored;
      }),
    session: (id) => sessionById(database.db, id),
    touchSession: (id, atMs) =>
      group(async (trx) => {
        const touched = await trx
          .updateTable('sessions')
          .set({ state: 'live', last_seen_ms: atMs })
          .where('id', '=', id)
          .where('state', '!=', 'ended')
          .executeTakeFirst();
        return touched.numUpdatedRows > 0n;
      }),
    endSession: (id, atMs) => group(async (trx) => void (await endSessions(trx, (e) => e('id', '=', id), atMs))),
    async lapseSessions({ pendingBeforeMs, idleBeforeMs, endedBeforeMs, atMs }) {
      const lapsed: Picks = (e) =>
        e.or([
          e.and([e('state', '=', 'pending'), e('created_at_ms', '<', pendingBeforeMs)]),
          e.and([e('state', '=', 'live'), e('last_seen_ms', '<', idleBeforeMs)]),
        ]);
      const forgotten: Picks = (e) => e.and([e('state', '=', 'ended'), e('ended_at_ms', '<', endedBeforeMs)]);
      const any = database.db.selectFrom('sessions').select('id').limit(1);
      // Asked every few seconds: a write, and with it a sync of the disk, only when there is something to write.
      if ((await any.where((e) => e.or([lapsed(e), forgotten(e)])).executeTakeFirst()) === undefined) return 0;
      return group(async (trx) => {
        await trx.deleteFrom('sessions').where(forgotten).execute();
        return endSessions(trx, lapsed, atMs);
      });
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
  return {
    ...readerOn(async () => database),
    ...sessionsOn(database),
    findAccount: (name) => accountWhere(database.db, 'folded', foldName(name)),
    accountForLogin: (name) => accountForLogin(database.db, name),
    async hasAccounts() {
      const any = database.db.selectFrom('users').select('id').where('id', '!=', NOBODY.id).limit(1);
      return (await any.executeTakeFirst()) !== undefined;
    },
    accountById: (id) => accountWhere(database.db, 'id', id),
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
          .execute();
        if (disabled) await endSessions(trx, (e) => e('user_id', '=', userId), atMs);
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
    async close() {
      await opening?.then((opened) => opened.close());
    },
  };
}
