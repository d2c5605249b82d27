import { LIMITS } from '../Models/limits.ts';
import type { Rows } from './sql/sql_metadata_schema.ts';

/** A user who can read a space, with the newest row of the journal of their home. */
export type SpaceReader = { readonly userId: string; readonly space: number; readonly homeHead: number | null };
/** Who can read these spaces now. */
export type SpaceReaders = (spaces: readonly number[]) => Promise<SpaceReader[]>;

/** Asked anew each time, so that nobody who has left is told anything, whichever server they left on. */
export function sqlSpaceReaders(db: Rows): SpaceReaders {
  return async (spaces) => {
    const readers: SpaceReader[] = [];
    for (let from = 0; from < spaces.length; from += LIMITS.pageEntriesDefault) {
      const rows = await db
        .selectFrom('members as m')
        .innerJoin('spaces as s', 's.id', 'm.space')
        .leftJoin('spaces as h', 'h.home_of', 'm.user_id')
        .select(['m.user_id as userId', 'm.space', 'h.head as homeHead'])
        .where('m.space', 'in', spaces.slice(from, from + LIMITS.pageEntriesDefault))
        .where('s.deleted_at_ms', 'is', null)
        .execute();
      readers.push(...rows);
    }
    return readers;
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
