import type { Change, Principal } from './metadata.ts';
import type { SpaceReader } from './space_readers.ts';
import type { JournalRow } from './sql/sql_metadata_changes.ts';

/** What was committed just now, read once for everybody, by space: rows that follow each other, up to the newest. */
export type LatestRows = ReadonlyMap<number, readonly JournalRow[]>;
/** The same for one user; who may read was asked after the rows were read. */
export type News = { readonly latest: LatestRows; readonly readers: readonly SpaceReader[] };

/**
 * One reader of the change feed at their place in it. Between two calls it stands exactly behind the last change that it gave out; the calls of one
 * follower come one after the other.
 */
export type Follower = {
  /** Where it stands: good for `GET /v1/changes` and for another follower. */
  readonly cursor: string;
  /** The next changes, of everything that the user can read now. @throws AppError as `Metadata.changes` */
  read(limit: number): Promise<{ readonly changes: Change[]; readonly more: boolean }>;
  /** The same without asking the database, from the news of what was committed. `behind`: something must be read. */
  take(news: News): { readonly changes: Change[]; readonly behind: boolean };
};

export type Following = {
  /** @param after a cursor; `null`: the beginning; `now`: what is committed from now on. @throws AppError `cursor_invalid` */
  follow(who: Principal, after: string | null): Promise<Follower>;
  /** The newest rows of these spaces, a few of each. */
  latestRows(spaces: Iterable<number>): Promise<LatestRows>;
};
