import { LIMITS } from '../../Models/limits.ts';
import type { Notice } from '../../Models/notices.ts';
import type { Principal } from '../metadata.ts';
import type { Notices } from '../notices.ts';
import type { Store } from './sql_metadata_batch.ts';
import { openBatch } from './sql_metadata_commit.ts';
import { recordNotice } from './sql_metadata_notice.ts';
import type { Rows } from './sql_metadata_schema.ts';

export function sqlNotices(store: Store): Notices {
  const { db, write } = store.database;
  return {
    tell: (who, notice) => write((trx) => tellIn(store, trx, { who, notice })),
    async deviceSeen(who, name) {
      if (await isKnown(db, who)) return;
      await write(async (trx) => {
        const isFurther = await noteDevice(trx, who, store.now());
        if (isFurther) await tellIn(store, trx, { who, notice: { kind: 'device', details: { device: who.deviceId, name } } });
      });
    },
    deviceRevoked: (who, { name, atMs }) =>
      write(async (trx) => {
        const isNews = await forgetDevice(trx, who, atMs);
        const details = { device: who.deviceId, name, revoked: true };
        if (isNews) await tellIn(store, trx, { who, notice: { kind: 'device', details } });
      }),
  };
}

/** @returns whether it was there, and seen before that time */
async function forgetDevice(trx: Rows, { userId, deviceId }: Principal, beforeMs: number): Promise<boolean> {
  const seen = trx.deleteFrom('known_devices').where('user_id', '=', userId).where('device', '=', deviceId);
  return (await seen.where('first_seen_ms', '<=', beforeMs).returning('device').executeTakeFirst()) !== undefined;
}

/** Inside a transaction that writes nothing else to a space. */
export async function tellIn(store: Store, trx: Rows, { who, notice }: { who: Principal; notice: Notice }): Promise<void> {
  const batch = await openBatch(store, trx, { principal: who, stream: null, chunks: [], paths: [] });
  await recordNotice(batch, who, notice);
  await batch.finish();
}

async function isKnown(db: Rows, { userId, deviceId }: Principal): Promise<boolean> {
  const query = db.selectFrom('known_devices').select('device').where('user_id', '=', userId).where('device', '=', deviceId);
  return (await query.executeTakeFirst()) !== undefined;
}

/** @returns whether it is new, and not the first of its user */
async function noteDevice(trx: Rows, { userId, deviceId }: Principal, nowMs: number): Promise<boolean> {
  const known = await trx.selectFrom('known_devices').select('device').where('user_id', '=', userId).execute();
  if (known.length >= LIMITS.devicesPerUserMax) return false;
  const noted = await trx
    .insertInto('known_devices')
    .values({ user_id: userId, device: deviceId, first_seen_ms: nowMs })
    .onConflict((conflict) => conflict.doNothing())
    .returning('device')
    .executeTakeFirst();
  return noted !== undefined && known.length > 0;
}
