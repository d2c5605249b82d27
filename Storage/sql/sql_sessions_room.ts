import { type Kysely, sql, type Transaction } from 'kysely';
import { LIMITS } from '../../Models/limits.ts';
import type { AccountsSchema } from '../accounts_rows.ts';
import type { NewSession, SessionLifetimes, SessionLimits } from '../sessions.ts';
import { statement } from '../statement.ts';
import { type Counter, endSessions, lockCounter, OPEN, type Picks } from './sql_sessions_end.ts';

/** As the index has it, whose condition must be written out. */
const atPrompt: Picks = (e) => e.and([e('state', '=', sql.lit('live')), e('interactive', '=', e.lit(1))]);

/** What is over at this time: of those at a prompt, for the reason that nothing was done; of those that nobody acknowledged; and of all others. */
export function overdue(
  { pendingMs, liveMs, idleMs }: SessionLifetimes,
  atMs: number,
): { readonly idle: Picks | null; readonly pending: Picks; readonly live: Picks } {
  return {
    idle: idleMs === null ? null : (e) => e.and([atPrompt(e), e('last_seen_ms', '<', atMs - idleMs)]),
    pending: (e) => e.and([e('state', '=', 'pending'), e('created_at_ms', '<', atMs - pendingMs)]),
    live: (e) => e.and([e('state', '=', 'live'), e('last_seen_ms', '<', atMs - liveMs)]),
  };
}

/** @param most of those that were live, the ones heard of longest ago; of all users if `userId` is null @returns how many ended */
export async function endOverdue(
  trx: Transaction<AccountsSchema>,
  lifetimes: SessionLifetimes,
  { most, userId, atMs }: { readonly most: number; readonly userId: string | null; readonly atMs: number },
): Promise<number> {
  const { idle, pending, live } = overdue(lifetimes, atMs);
  let ended = idle === null ? 0 : await endSessions(trx, idle, { reason: 'idle', atMs });
  ended += await endSessions(trx, pending, { reason: 'lapsed', atMs });
  if (most <= 0) return ended;
  const all = trx.selectFrom('sessions').select('id').where(live).orderBy('last_seen_ms').orderBy('id').limit(most);
  const oldest = await (userId === null ? all : all.where('user_id', '=', userId)).execute();
  if (oldest.length === 0) return ended;
  const ids = oldest.map(({ id }) => id);
  return ended + (await endSessions(trx, (e) => e('id', 'in', ids), { reason: 'lapsed', atMs }));
}

const countOpen = statement((db: Kysely<AccountsSchema>, { userId }: { userId: string }) =>
  db
    .selectFrom('sessions')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .where('state', 'in', OPEN),
);

async function openOf(trx: Transaction<AccountsSchema>, userId: string): Promise<number> {
  const [row] = (await countOpen(trx, { userId })).rows;
  return Number(row?.count);
}

/** The session of this device that may give its place up: the same kind, heard of longest ago. */
async function formerOf(trx: Transaction<AccountsSchema>, { userId, deviceId, interactive = false }: NewSession): Promise<string | null> {
  const former = await trx
    .selectFrom('sessions')
    .select('id')
    .where((e) => e.and({ user_id: userId, device_id: deviceId, interactive: interactive ? 1 : 0 }))
    .where('state', 'in', OPEN)
    .orderBy('last_seen_ms')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  return former?.id ?? null;
}

/** When the next session of a user, or of all, is over if nothing is heard of it. Asked of indices, for there are many. */
async function nextEndMs(
  trx: Transaction<AccountsSchema>,
  { userId, atMs }: { readonly userId: string | null; readonly atMs: number },
  { pendingMs, liveMs, idleMs }: SessionLifetimes,
): Promise<number> {
  const open = userId === null ? trx.selectFrom('sessions') : trx.selectFrom('sessions').where('user_id', '=', userId);
  const oldest = async (which: Picks, lastsMs: number): Promise<number> => {
    const row = await open
      .select((e) => e.fn.min('last_seen_ms').as('ms'))
      .where(which)
      .executeTakeFirst();
    return row?.ms === null || row === undefined ? Number.POSITIVE_INFINITY : Number(row.ms) + lastsMs;
  };
  const liveEnd = await oldest((e) => e('state', '=', 'live'), liveMs);
  // What is overdue lapses a few at a time, and not for being asked for.
  const ends = [await oldest((e) => e('state', '=', 'pending'), pendingMs), liveEnd < atMs ? atMs + LIMITS.lapsePauseMs : liveEnd];
  if (idleMs !== null) ends.push(await oldest(atPrompt, idleMs));
  return Math.min(...ends);
}

/**
 * Sees to it that there is a place for one more session: what is overdue ends, and if that is not enough, what its device has left behind.
 * @param counter as it was when it was locked, in this transaction
 * @returns `null`, or when a place may become free; then nothing else was changed
 */
export async function makeRoom(
  trx: Transaction<AccountsSchema>,
  session: NewSession,
  { limits, counter }: { limits: SessionLimits; counter: Counter },
): Promise<number | null> {
  const { userId, atMs } = session;
  const lacking = async ({ open_sessions: open }: Counter): Promise<{ all: number; user: number; isForOthers: boolean }> => {
    const own = await openOf(trx, userId);
    // The last quarter is for users who have few. One who gives up a place for it may still take another.
    const isForOthers = own >= LIMITS.sessionsFew && open + 1 > limits.all - Math.floor(limits.all / 4);
    return { all: Math.max(open + 1 - limits.all, isForOthers ? 1 : 0), user: own + 1 - limits.perUser, isForOthers };
  };
  const isEnough = ({ all, user }: { all: number; user: number }, gained: number): boolean => all <= gained && user <= gained;
  const before = await lacking(counter);
  if (isEnough(before, 0)) return null;
  // Whoever may not have a place that is for others would not get one of these either.
  const most = Math.max(before.isForOthers ? 0 : before.all, before.user);
  await endOverdue(trx, limits.lifetimes, { most, userId: before.user > 0 ? userId : null, atMs });
  const lack = await lacking(await lockCounter(trx));
  if (isEnough(lack, 0)) return null;
  const former = isEnough(lack, 1) ? await formerOf(trx, session) : null;
  if (former === null) return nextEndMs(trx, { userId: lack.user > 0 ? userId : null, atMs }, limits.lifetimes);
  await endSessions(trx, (e) => e('id', '=', former), { reason: 'replaced', atMs });
  return null;
}
