import { randomBytes } from 'node:crypto';
import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql, type Transaction } from 'kysely';
import type { EndReason } from '../../Models/session_ends.ts';
import type { AccountsSchema } from '../accounts_rows.ts';
import { statement } from '../statement.ts';

/** States of a session that has not ended, in the form that the index is good for. */
export const OPEN = ['pending', 'live'] as const;

export type Picks = (e: ExpressionBuilder<AccountsSchema, 'sessions'>) => Expression<SqlBool>;

export type Counter = Omit<AccountsSchema['ended_counter'], 'one'>;

const lockedCounter = statement((db: Kysely<AccountsSchema>) =>
  db.updateTable('ended_counter').where('one', '=', 1).set({ value: sql`value` }).returning(['value', 'open_sessions']),
);

/** The counter's row, locked: whoever begins or ends a session waits here for the one before, so counts are exact and numbers follow each other as the commits do. */
export async function lockCounter(trx: Transaction<AccountsSchema>): Promise<Counter> {
  const [counter] = (await lockedCounter(trx, {})).rows;
  if (counter === undefined) throw new Error('the counter of sessions has no row');
  return counter;
}

/** Ends the sessions that `which` picks, but for those that have. @returns how many */
export async function endSessions(
  trx: Transaction<AccountsSchema>,
  which: Picks,
  { reason, atMs }: { reason: EndReason; atMs: number },
): Promise<number> {
  const { value, open_sessions } = await lockCounter(trx);
  const picked = await trx.selectFrom('sessions').select('id').where('state', 'in', OPEN).where(which).orderBy('id').execute();
  for (const [index, { id }] of picked.entries()) {
    await trx
      .updateTable('sessions')
      .set({ state: 'ended', ended_at_ms: atMs, ended_sequence: value + index + 1, end_reason: reason })
      .where('id', '=', id)
      .execute();
  }
  if (picked.length > 0) {
    const counted = { value: value + picked.length, open_sessions: open_sessions - picked.length };
    await trx.updateTable('ended_counter').set(counted).where('one', '=', 1).execute();
  }
  return picked.length;
}

/** The end of a session that never was: whoever reads what ended learns by it that a device without a session was revoked. */
export async function endWithoutSession(
  trx: Transaction<AccountsSchema>,
  device: { readonly userId: string; readonly deviceId: string },
  { reason, atMs }: { reason: EndReason; atMs: number },
): Promise<void> {
  const { value } = await lockCounter(trx);
  await trx
    .updateTable('ended_counter')
    .set({ value: value + 1 })
    .where('one', '=', 1)
    .execute();
  const ended = { state: 'ended', ended_at_ms: atMs, ended_sequence: value + 1, end_reason: reason } as const;
  const unchanged = { interactive: 0, change_number: 0, change_transaction: null, change_result: null };
  const whose = { id: randomBytes(16).toString('hex'), user_id: device.userId, device_id: device.deviceId };
  await trx
    .insertInto('sessions')
    .values({ ...whose, ...ended, ...unchanged, created_at_ms: atMs, last_seen_ms: 0 })
    .execute();
}
