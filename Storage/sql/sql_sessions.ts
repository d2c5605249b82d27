import { hash } from 'node:crypto';
import { type Kysely, type SqlBool, sql, type Transaction } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { type AccountsSchema, accountWhere, DEVICE_SINCE } from '../accounts_rows.ts';
import type { Database } from '../database.ts';
import type { groupWrites } from '../group_writes.ts';
import type { EndedSession, NewSession, Sessions, SessionsReader, StoredSession } from '../sessions.ts';
import { statement } from '../statement.ts';
import { changeInSession } from './sql_sessions_change.ts';
import { makeDeviceRoom } from './sql_sessions_devices.ts';
import { endSessions, lockCounter, OPEN, type Picks } from './sql_sessions_end.ts';
import { endOverdue, makeRoom, overdue } from './sql_sessions_room.ts';

const ENDED_PAGE = 10_000;
const DEVICE_RETRY_MS = 3_600_000; // sessions that have ended are forgotten one after another
type GroupedWrites = ReturnType<typeof groupWrites<Transaction<AccountsSchema>>>;

const selectSession = statement((db: Kysely<AccountsSchema>, { id }: { id: string }) =>
  db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select(['sessions.id', 'sessions.user_id as userId', 'users.name as userName', 'disabled', 'role', 'device_id as deviceId', 'state'])
    .innerJoin('devices', (join) => join.onRef('devices.user_id', '=', 'sessions.user_id').onRef('devices.id', '=', 'sessions.device_id'))
    .select(['interactive', 'end_reason as endReason', 'sessions.created_at_ms as createdAtMs', 'sessions.last_seen_ms as lastSeenMs'])
    .select(DEVICE_SINCE.as('deviceSinceMs'))
    .where('sessions.id', '=', id),
);

async function sessionById(db: Kysely<AccountsSchema>, id: string): Promise<StoredSession | null> {
  const [row] = (await selectSession(db, { id })).rows;
  if (row === undefined) return null;
  const { disabled, interactive, ...session } = row;
  return { ...session, interactive: interactive !== 0, userDisabled: disabled !== 0 };
}

const shownName = sql<string>`coalesce(d.given_name, d.name)`;

function devicesIn(db: Kysely<AccountsSchema>) {
  return db
    .selectFrom('devices as d')
    .select(['d.user_id as userId', 'd.id as deviceId', shownName.as('name')])
    .select((e) =>
      e
        .selectFrom('sessions as s')
        .select((s) => s.fn.countAll<number>().as('count'))
        .whereRef('s.user_id', '=', 'd.user_id')
        .whereRef('s.device_id', '=', 'd.id')
        .where('s.state', 'in', OPEN)
        .as('sessions'),
    );
}

function withSignedIn<Row extends { sessions: number | null }>({ sessions, ...device }: Row) {
  return { ...device, signedIn: Number(sessions) > 0 };
}

/** The reading half, on whatever `database` gives; `null` stands for accounts that nobody has set up yet. */
export function sessionsReaderOn(database: () => Promise<Database<AccountsSchema> | null>): SessionsReader {
  return {
    async devices(which) {
      if (which.length > LIMITS.devicesAskedMax) throw new RangeError(`at most ${LIMITS.devicesAskedMax} devices at a time`);
      const opened = await database();
      if (opened === null || which.length === 0) return [];
      const asked = sql.join(which.map(({ userId, deviceId }) => sql`(${userId}, ${deviceId})`));
      return (await devicesIn(opened.db).where(sql<SqlBool>`(d.user_id, d.id) IN (VALUES ${asked})`).execute()).map(withSignedIn);
    },
    async listDevices(userId) {
      const opened = await database();
      if (opened === null) return [];
      const heard = sql<number>`(SELECT max(s.last_seen_ms) FROM sessions s WHERE s.user_id = d.user_id AND s.device_id = d.id)`;
      const rows = await devicesIn(opened.db)
        .select(['d.first_seen_ms as firstSeenMs', 'd.revoked_at_ms as revokedAtMs'])
        .select(sql<number>`CASE WHEN ${heard} > d.last_seen_ms THEN ${heard} ELSE d.last_seen_ms END`.as('lastSeenMs'))
        .where('d.user_id', '=', userId)
        .orderBy('lastSeenMs', 'desc')
        .orderBy('d.id')
        .limit(LIMITS.devicesListedMax)
        .execute();
      return rows.map(withSignedIn);
    },
    async listSessions(userId) {
      const opened = await database();
      if (opened === null) return [];
      const rows = await opened.db
        .selectFrom('sessions as s')
        .innerJoin('devices as d', (join) => join.onRef('d.user_id', '=', 's.user_id').onRef('d.id', '=', 's.device_id'))
        .select(['s.id', 's.device_id as deviceId', shownName.as('deviceName'), 's.interactive'])
        .select(['s.created_at_ms as createdAtMs', 's.last_seen_ms as lastSeenMs'])
        .where('s.user_id', '=', userId)
        .where('s.state', 'in', OPEN)
        .orderBy('s.last_seen_ms', 'desc')
        .orderBy('s.id')
        .limit(LIMITS.sessionsListedMax)
        .execute();
      return rows.map((row) => ({ ...row, interactive: row.interactive !== 0 }));
    },
    async endOfSession(id) {
      const opened = await database();
      const row = await opened?.db.selectFrom('sessions').select(['state', 'end_reason as reason']).where('id', '=', id).executeTakeFirst();
      if (row === undefined) return 'lapsed';
      return row.state === 'ended' ? (row.reason ?? 'lapsed') : null;
    },
    async endedSessions(afterSequence) {
      const opened = await database();
      if (opened === null) return [];
      const rows = await opened.db
        .selectFrom('sessions as s')
        .innerJoin('devices as d', (join) => join.onRef('d.user_id', '=', 's.user_id').onRef('d.id', '=', 's.device_id'))
        .select(['ended_sequence as sequence', 's.id', 'ended_at_ms as endedAtMs', 'end_reason as reason'])
        .select(['s.user_id as userId', 's.device_id as deviceId', 'd.revoked_at_ms as revokedAtMs'])
        .where('ended_sequence', '>', afterSequence)
        .orderBy('ended_sequence')
        .limit(ENDED_PAGE)
        .execute();
      return rows.map(({ revokedAtMs, ...row }) => {
        const session = row as Omit<EndedSession, 'deviceRevoked'>; // number, time and reason are written together
        return { ...session, deviceRevoked: session.reason === 'revoked' && session.endedAtMs <= revokedAtMs };
      });
    },
  };
}

/** @param digest SHA-256 of the record that a password was proved with */
async function hasRecord(trx: Transaction<AccountsSchema>, userId: string, digest: Uint8Array): Promise<boolean> {
  const account = await accountWhere(trx, 'id', userId);
  return account !== null && hash('sha256', account.record, 'buffer').equals(digest);
}

async function isOver(trx: Transaction<AccountsSchema>, id: string): Promise<boolean> {
  const session = await sessionById(trx, id);
  return session === null || session.state === 'ended' || session.userDisabled;
}

type Full = { readonly freeAtMs: number };

/** @param input.name `null`: as it was told before */
const seeDevice = statement(
  (
    db: Kysely<AccountsSchema>,
    { userId, deviceId, name, atMs }: { userId: string; deviceId: string; name: string | null; atMs: number },
  ) => {
    const seen = { first_seen_ms: atMs, last_seen_ms: atMs };
    const told = { name: sql<string>`coalesce(${name}, '')`, given_name: null };
    return db
      .insertInto('devices')
      .values({ user_id: userId, id: deviceId, revoked_at_ms: 0, ...told, ...seen })
      .onConflict((conflict) =>
        conflict.columns(['user_id', 'id']).doUpdateSet({ name: sql<string>`coalesce(${name}, devices.name)`, last_seen_ms: atMs }),
      )
      .returning('first_seen_ms');
  },
);

type AddedSession = { id: string; userId: string; deviceId: string; interactive: number; atMs: number };
const addSession = statement((db: Kysely<AccountsSchema>, { id, userId, deviceId, interactive, atMs }: AddedSession) => {
  const unchanged = { change_number: 0, change_transaction: null, change_result: null };
  const times = { created_at_ms: atMs, last_seen_ms: atMs, ended_at_ms: null, ended_sequence: null, end_reason: null };
  return db
    .insertInto('sessions')
    .values({ id, user_id: userId, device_id: deviceId, state: 'pending', interactive, ...unchanged, ...times });
});

const countOneMore = statement((db: Kysely<AccountsSchema>) =>
  db
    .updateTable('ended_counter')
    .set((e) => ({ open_sessions: e('open_sessions', '+', 1) }))
    .where('one', '=', 1),
);

const setLive = statement((db: Kysely<AccountsSchema>, { id, atMs }: { id: string; atMs: number }) =>
  db.updateTable('sessions').set({ state: 'live', last_seen_ms: atMs }).where('id', '=', id).where('state', '!=', 'ended').returning('id'),
);

async function openSession(trx: Transaction<AccountsSchema>, session: NewSession): Promise<StoredSession | Full | null> {
  const { id, userId, deviceId, deviceName, interactive = false, limits, from, provenDigest, atMs } = session;
  const counter = await lockCounter(trx);
  const before = await sessionById(trx, id);
  if (before !== null) return before;
  if (provenDigest !== undefined && !(await hasRecord(trx, userId, provenDigest))) return null;
  if (from !== undefined && (await isOver(trx, from))) return null;
  const freeAtMs = limits === undefined ? null : await makeRoom(trx, session, { limits, counter });
  if (freeAtMs !== null) return { freeAtMs };
  const [device] = (await seeDevice(trx, { userId, deviceId, name: deviceName, atMs })).rows;
  const isNew = Number(device?.first_seen_ms) === atMs;
  if (isNew && limits !== undefined && !(await makeDeviceRoom(trx, session, limits))) return { freeAtMs: atMs + DEVICE_RETRY_MS };
  await addSession(trx, { id, userId, deviceId, interactive: interactive ? 1 : 0, atMs });
  await countOneMore(trx, {});
  const stored = await sessionById(trx, id);
  if (stored === null) throw new Error('a session that was just written is not there');
  return stored;
}

/** The time at which their device was heard of stays known. */
async function forgetSessions(trx: Transaction<AccountsSchema>, which: Picks): Promise<void> {
  const heard = sql<number>`(SELECT max(s.last_seen_ms) FROM sessions s WHERE s.user_id = devices.user_id AND s.device_id = devices.id)`;
  await trx
    .updateTable('devices')
    .set({ last_seen_ms: heard })
    .where((e) =>
      e.exists(
        e
          .selectFrom('sessions')
          .select('sessions.id')
          .whereRef('sessions.user_id', '=', 'devices.user_id')
          .whereRef('sessions.device_id', '=', 'devices.id')
          .where((inner) => which(inner as Parameters<Picks>[0]))
          .whereRef('sessions.last_seen_ms', '>', 'devices.last_seen_ms'),
      ),
    )
    .execute();
  await trx.deleteFrom('sessions').where(which).execute();
}

export function sessionsOn(database: Database<AccountsSchema>, group: GroupedWrites): Omit<Sessions, keyof SessionsReader> {
  return {
    async openSession(session) {
      const opened = await group((trx) => openSession(trx, session)); // that it is full must not fail what else is in the group
      if (opened === null || 'id' in opened) return opened;
      const retryAfterMs = Math.max(0, opened.freeAtMs - session.atMs);
      throw new AppError('busy', 'there is no place for one more session', { retryAfterMs });
    },
    session: (id) => sessionById(database.db, id),
    touchSession: (id, atMs, isOver = () => false) =>
      group(async (trx) => {
        const session = await sessionById(trx, id);
        if (session === null || isOver(session)) return null;
        return (await setLive(trx, { id, atMs })).rows.length > 0 ? session : null; // on PostgreSQL it may have ended since
      }),
    endSession: (id, atMs, reason = 'logout') =>
      group(async (trx) => void (await endSessions(trx, (e) => e('id', '=', id), { reason, atMs }))),
    endSessionsOf: (userId, { reason, except, atMs }) =>
      group((trx) => endSessions(trx, (e) => e.and([e('user_id', '=', userId), e('id', '!=', except ?? '')]), { reason, atMs })),
    changeInSession: (request) => group((trx) => changeInSession(trx, request)),
    async lapseSessions({ lifetimes, liveShare, endedBeforeMs, atMs }) {
      const { idle, pending, live } = overdue(lifetimes, atMs);
      const forgotten: Picks = (e) => e.and([e('state', '=', 'ended'), e('ended_at_ms', '<', endedBeforeMs)]);
      const any = database.db.selectFrom('sessions').select('id').limit(1);
      // Asked every few seconds: a write, and with it a sync of the disk, only when there is something to write.
      if (
        (await any
          .where((e) => e.or([pending(e), forgotten(e), ...(liveShare > 0 ? [live(e)] : []), ...(idle === null ? [] : [idle(e)])]))
          .executeTakeFirst()) === undefined
      )
        return 0;
      return group(async (trx) => {
        await forgetSessions(trx, forgotten);
        const { open_sessions: open } = await lockCounter(trx);
        const most = liveShare > 0 ? Math.max(1, Math.floor(open * liveShare)) : 0;
        return endOverdue(trx, lifetimes, { most, userId: null, atMs });
      });
    },
  };
}
