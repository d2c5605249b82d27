import { LIMITS } from '../Models/limits.ts';
import type { Database } from './database.ts';
import type { MetadataSchema, Rows } from './sql/sql_metadata_schema.ts';

/**
 * Notices that a client's sync index is an older copy of itself, or that two machines use copies of one: what such an index believes to have
 * been agreed on may be long gone, and acting on it would bring back what was deleted.
 */
export type SyncStates = {
  /**
   * Remembers the counter if it is higher than any this state has shown. Durable when the promise resolves. What the state last reported
   * (SyncReports) is forgotten if this is refused, and if it is not what the index knows to have reported: the disk may be as old as the index.
   * @param shown `reported`: the mark of its last report
   * @returns false if it is not higher
   */
  advance(
    userId: string,
    shown: { readonly state: string; readonly counter: number; readonly reported?: string | undefined },
  ): Promise<boolean>;
};

export function sqlSyncStates(database: Database<MetadataSchema>, now: () => number = Date.now): SyncStates {
  return {
    advance: (userId, { state, counter, reported }) =>
      database.write(async (trx) => {
        const accepted = await showState(trx, userId, { state, counter, nowMs: now() }, '<');
        const report = trx.deleteFrom('sync_reports').where('user_id', '=', userId).where('state', '=', state);
        await (accepted && reported !== undefined ? report.where('mark', '<>', reported) : report).execute();
        return accepted;
      }),
  };
}

type Shown = { readonly state: string; readonly counter: number; readonly nowMs: number };

/**
 * One statement, so that of two copies that show the same number at the same time one is refused.
 * @param than how the counter shown before must compare with this one
 * @returns whether it does, and is remembered
 */
export async function showState(trx: Rows, userId: string, { state, counter, nowMs }: Shown, than: '<' | '<='): Promise<boolean> {
  const raised = await trx
    .insertInto('sync_states')
    .values({ user_id: userId, state, counter, shown_at_ms: nowMs })
    .onConflict((conflict) =>
      conflict
        .columns(['user_id', 'state'])
        .doUpdateSet((e) => ({ counter: e.ref('excluded.counter'), shown_at_ms: e.ref('excluded.shown_at_ms') }))
        .whereRef('sync_states.counter', than, 'excluded.counter'),
    )
    .returning('state')
    .executeTakeFirst();
  if (raised === undefined) return false;
  await forgetOldest(trx, userId);
  return true;
}

/** Those not shown for longest, above the limit. */
async function forgetOldest(trx: Rows, userId: string): Promise<void> {
  const kept = await trx
    .selectFrom('sync_states')
    .select('state')
    .where('user_id', '=', userId)
    .orderBy('shown_at_ms', 'desc')
    .orderBy('state')
    .limit(LIMITS.syncStatesPerUserMax + 1)
    .execute();
  const oldest = kept[LIMITS.syncStatesPerUserMax];
  if (oldest === undefined) return;
  for (const table of ['sync_reports', 'sync_states'] as const)
    await trx.deleteFrom(table).where('user_id', '=', userId).where('state', '=', oldest.state).execute();
}
