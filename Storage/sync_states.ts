import { LIMITS } from '../Models/limits.ts';
import type { Database } from './database.ts';
import { databaseError } from './database_errors.ts';
import type { MetadataSchema, Rows } from './sql_metadata_schema.ts';

/**
 * Notices that a client's sync index is an older copy of itself, or that two machines use copies of one: what such an index believes to have
 * been agreed on may be long gone, and acting on it would bring back what was deleted.
 */
export type SyncStates = {
  /**
   * Remembers the counter if it is higher than any this state has shown. Durable when the promise resolves.
   * @returns false, with nothing changed, if it is not higher
   */
  advance(userId: string, shown: { readonly state: string; readonly counter: number }): Promise<boolean>;
};

export function sqlSyncStates(database: Database<MetadataSchema>, now: () => number = Date.now): SyncStates {
  return {
    async advance(userId, shown) {
      try {
        return await database.write(async (trx) => {
          const accepted = await raise(trx, userId, { ...shown, nowMs: now() });
          if (accepted) await forgetOldest(trx, userId);
          return accepted;
        });
      } catch (error) {
        throw databaseError(error);
      }
    },
  };
}

/** One statement, so that of two copies that show the same number at the same time one is refused. */
async function raise(
  trx: Rows,
  userId: string,
  { state, counter, nowMs }: { state: string; counter: number; nowMs: number },
): Promise<boolean> {
  const raised = await trx
    .insertInto('sync_states')
    .values({ user_id: userId, state, counter, shown_at_ms: nowMs })
    .onConflict((conflict) =>
      conflict
        .columns(['user_id', 'state'])
        .doUpdateSet((e) => ({ counter: e.ref('excluded.counter'), shown_at_ms: e.ref('excluded.shown_at_ms') }))
        .whereRef('sync_states.counter', '<', 'excluded.counter'),
    )
    .returning('state')
    .executeTakeFirst();
  return raised !== undefined;
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
  if (oldest !== undefined) await trx.deleteFrom('sync_states').where('user_id', '=', userId).where('state', '=', oldest.state).execute();
}
