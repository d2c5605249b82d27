import type { Transaction } from 'kysely';
import { assertNever } from '../../Models/errors.ts';
import type { Change, ChangeOutcome, ChangeResult } from '../../Models/session_changes.ts';
import { type AccountsSchema, DEVICE_SINCE } from '../accounts_rows.ts';
import type { ChangeRequest } from '../sessions.ts';
import { setProfile } from './sql_profiles.ts';
import { endSessions, endWithoutSession } from './sql_sessions_end.ts';

type Asker = { readonly userId: string; readonly atMs: number };

/** What is asked for, done; only what is the user's own is found. */
async function perform(trx: Transaction<AccountsSchema>, { userId, atMs }: Asker, change: Change): Promise<ChangeResult> {
  const device = (id: string) => trx.updateTable('devices').where('user_id', '=', userId).where('id', '=', id);
  switch (change.kind) {
    case 'renameDevice': {
      const { numUpdatedRows } = await device(change.deviceId).set({ given_name: change.name }).executeTakeFirst();
      return numUpdatedRows > 0n ? 'done' : 'not_found';
    }
    case 'revokeDevice': {
      const { deviceId } = change;
      const known = trx
        .selectFrom('devices')
        .select(['last_seen_ms', 'revoked_at_ms'])
        .select(DEVICE_SINCE.as('sinceMs'))
        .where('user_id', '=', userId);
      const before = await known.where('id', '=', deviceId).executeTakeFirst();
      if (before === undefined) return 'not_found';
      const end = { reason: 'revoked', atMs } as const;
      const ended = await endSessions(trx, (e) => e.and({ user_id: userId, device_id: deviceId }), end);
      if (ended === 0 && before.revoked_at_ms > before.last_seen_ms) return 'done'; // nobody has logged in on it since
      if (ended === 0) await endWithoutSession(trx, { userId, deviceId }, end);
      await device(deviceId)
        .set({ revoked_at_ms: Math.max(atMs, before.sinceMs + 1) }) // whatever the clock says, it is not what it was
        .execute();
      return 'done';
    }
    case 'endSession': {
      const ended = await endSessions(trx, (e) => e.and({ user_id: userId, id: change.sessionId }), { reason: 'revoked', atMs });
      return ended > 0 ? 'done' : 'not_found';
    }
    case 'setDisplayName':
      await setProfile(trx, userId, { display_name: change.displayName });
      return 'done';
    case 'setEmail':
      await setProfile(trx, userId, { email: change.email });
      return 'done';
    default:
      return assertNever(change);
  }
}

/** As `Sessions.changeInSession`. */
export async function changeInSession(trx: Transaction<AccountsSchema>, request: ChangeRequest): Promise<ChangeOutcome | null> {
  const { sessionId, number, transaction, change, atMs } = request;
  // Writing the row it will write to locks it: of two that come at once the second sees the first.
  const session = await trx
    .updateTable('sessions')
    .set((e) => ({ change_number: e.ref('change_number') }))
    .where('id', '=', sessionId)
    .returning(['user_id', 'state', 'change_number', 'change_transaction', 'change_result'])
    .executeTakeFirst();
  if (session === undefined) return null;
  const isRepeated = session.change_number === number && session.change_transaction === transaction;
  if (isRepeated && session.change_result !== null) return { result: session.change_result, number };
  if (session.state === 'ended') return null;
  if (number <= session.change_number) return { result: 'stale', number: session.change_number };
  const own = trx.updateTable('sessions').where('id', '=', sessionId);
  await own.set({ state: 'live', last_seen_ms: atMs }).execute(); // before what may end it
  const result = await perform(trx, { userId: session.user_id, atMs }, change);
  await own.set({ change_number: number, change_transaction: transaction, change_result: result }).execute();
  return { result, number };
}
