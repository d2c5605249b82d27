import { AppError } from '../Models/errors.ts';
import type { Principal } from './metadata.ts';
import type { Store } from './sql/sql_metadata_batch.ts';
import { type Marks, openCursor, writeCursor } from './sql/sql_metadata_cursor.ts';
import type { Rows } from './sql/sql_metadata_schema.ts';
import { loadView, lockSpaces, type View } from './sql/sql_metadata_view.ts';

/** Up to where a device has processed what happened. It only moves forward, in each space for itself. */
export type EventMarks = {
  /** Durable when the promise resolves. @returns the cursor up to which all is processed now. @throws AppError `cursor_invalid` */
  mark(who: Principal, cursor: string): Promise<string>;
  /** `null`: nothing was ever marked. */
  marked(who: Principal): Promise<string | null>;
};

export function sqlEventMarks(store: Store, epoch: string): EventMarks {
  const { database } = store;
  return {
    mark: (who, cursor) =>
      database.write(async (trx) => {
        const view = await loadView(trx, who.userId);
        if (view.home !== null) await lockSpaces(trx, database.dialect, [view.home.id]); // one mark after the other
        const reading = { db: trx, view, epoch };
        const { starts } = await openCursor(reading, cursor, { withHeads: false });
        const known = await markOf(trx, who);
        const before = known === null ? null : await startsOf(reading, known);
        const after = writeCursor(epoch, before === null ? starts : later(starts, before));
        const row = { user_id: who.userId, device: who.deviceId, cursor: after, marked_at_ms: store.now() };
        await trx
          .insertInto('event_marks')
          .values(row)
          .onConflict((conflict) =>
            conflict.columns(['user_id', 'device']).doUpdateSet({ cursor: row.cursor, marked_at_ms: row.marked_at_ms }),
          )
          .execute();
        return after;
      }),
    marked: (who) => markOf(database.db, who),
  };
}

async function markOf(db: Rows, { userId, deviceId }: Principal): Promise<string | null> {
  const row = await db
    .selectFrom('event_marks')
    .select('cursor')
    .where('user_id', '=', userId)
    .where('device', '=', deviceId)
    .executeTakeFirst();
  return row?.cursor ?? null;
}

/** @returns null where the server went back behind it since */
async function startsOf(reading: { db: Rows; view: View; epoch: string }, cursor: string): Promise<Marks | null> {
  try {
    return (await openCursor(reading, cursor, { withHeads: false })).starts;
  } catch (error) {
    if (error instanceof AppError && error.code === 'cursor_invalid') return null;
    throw error;
  }
}

function later(marks: Marks, others: Marks): Marks {
  return new Map(
    Array.from(marks, ([space, mark]) => {
      const other = others.get(space);
      return [space, other !== undefined && other.seq > mark.seq ? other : mark];
    }),
  );
}
