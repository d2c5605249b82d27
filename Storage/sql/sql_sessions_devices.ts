import type { Kysely, Transaction } from 'kysely';
import type { AccountsSchema } from '../accounts_rows.ts';
import type { NewSession, SessionLimits } from '../sessions.ts';
import { statement } from '../statement.ts';

const countDevices = statement((db: Kysely<AccountsSchema>, { userId }: { userId: string }) =>
  db
    .selectFrom('devices')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('user_id', '=', userId),
);

/**
 * Sees to it that the user has no more devices than may be, now that this one was added: those not seen for longest are forgotten. One of which a session is
 * known, be it that it has ended, stays: whoever asks why it ended, or whether, must be told.
 * @returns false, with the added one taken away again, if there are too few such
 */
export async function makeDeviceRoom(
  trx: Transaction<AccountsSchema>,
  { userId, deviceId }: NewSession,
  limits: SessionLimits,
): Promise<boolean> {
  const [counted] = (await countDevices(trx, { userId })).rows;
  const excess = Number(counted?.count) - limits.devices;
  if (excess <= 0) return true;
  const oldest = await trx
    .selectFrom('devices')
    .select('id')
    .where('user_id', '=', userId)
    .where('id', '!=', deviceId)
    .where((e) =>
      e.not(
        e.exists(
          e
            .selectFrom('sessions')
            .select('sessions.id')
            .whereRef('sessions.user_id', '=', 'devices.user_id')
            .whereRef('sessions.device_id', '=', 'devices.id'),
        ),
      ),
    )
    .orderBy('last_seen_ms')
    .orderBy('id')
    .limit(excess)
    .execute();
  const enough = oldest.length === excess;
  const gone = enough ? oldest.map(({ id }) => id) : [deviceId];
  await trx.deleteFrom('devices').where('user_id', '=', userId).where('id', 'in', gone).execute();
  return enough;
}
