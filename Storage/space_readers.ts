import { LIMITS } from '../Models/limits.ts';
import type { Rows } from './sql_metadata_schema.ts';

/** Who can read any of these spaces now: user ids, each once. */
export type SpaceReaders = (spaces: readonly number[]) => Promise<string[]>;

/** Asked anew each time, so that nobody who has left is told anything, whichever server they left on. */
export function sqlSpaceReaders(db: Rows): SpaceReaders {
  return async (spaces) => {
    const users = new Set<string>();
    for (let from = 0; from < spaces.length; from += LIMITS.pageEntriesDefault) {
      const rows = await db
        .selectFrom('members as m')
        .innerJoin('spaces as s', 's.id', 'm.space')
        .select('m.user_id')
        .where('m.space', 'in', spaces.slice(from, from + LIMITS.pageEntriesDefault))
        .where('s.deleted_at_ms', 'is', null)
        .execute();
      for (const { user_id } of rows) users.add(user_id);
    }
    return [...users];
  };
}

/** Users who are in a living space together with this one; themselves too, if they are in any. */
export type Companions = (userId: string) => Promise<string[]>;

export function sqlCompanions(db: Rows): Companions {
  return async (userId) => {
    const rows = await db
      .selectFrom('members as m')
      .innerJoin('spaces as s', 's.id', 'm.space')
      .innerJoin('members as o', 'o.space', 'm.space')
      .select('o.user_id')
      .distinct()
      .where('m.user_id', '=', userId)
      .where('s.deleted_at_ms', 'is', null)
      .execute();
    return rows.map(({ user_id }) => user_id);
  };
}
