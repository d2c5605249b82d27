import { NOTICE_KINDS } from '../../Models/notices.ts';
import type { Follower, Following, LatestRows, News } from '../following.ts';
import type { Change } from '../metadata.ts';
import type { Store } from './sql_metadata_batch.ts';
import { changeFor, type JournalRow, latestJournalRows, nextChanges } from './sql_metadata_changes.ts';
import { type Mark, type Marks, markFrom, openCursor, writeCursor } from './sql_metadata_cursor.ts';
import { JOURNAL_KINDS, type Rows } from './sql_metadata_schema.ts';
import { loadView, type View } from './sql_metadata_view.ts';

/** Rows of one space that are read for everybody; who is further behind reads for themselves. */
const LATEST = 64;
/** Of these no mount is made, moved or taken away. */
const LEAVES_MOUNTS: ReadonlySet<number> = new Set(
  (['put', 'symlink', 'mkdir', 'copy', 'attributes', ...NOTICE_KINDS] as const).map((kind) => JOURNAL_KINDS.indexOf(kind)),
);

export function sqlFollowing(store: Store, epoch: string): Following {
  const { db } = store.database;
  return {
    async follow({ userId }, after) {
      const view = await loadView(db, userId);
      const isNow = after === 'now';
      const { starts, heads } = await openCursor({ db, view, epoch }, isNow ? null : after, { withHeads: isNow });
      return new SqlFollower({ db, epoch }, view, new Map(isNow ? heads : starts));
    },
    async latestRows(spaces) {
      const latest = new Map<number, readonly JournalRow[]>();
      for (const space of spaces) latest.set(space, await latestJournalRows(db, space, LATEST));
      return latest satisfies LatestRows;
    },
  };
}

class SqlFollower implements Follower {
  readonly #deps: { readonly db: Rows; readonly epoch: string };
  #view: View;
  #marks: Map<number, Mark>;
  /** The row of the user's home up to which the mounts of the view are true. */
  #viewAt: number;

  constructor(deps: { readonly db: Rows; readonly epoch: string }, view: View, marks: Map<number, Mark>) {
    this.#deps = deps;
    this.#view = view;
    this.#marks = marks;
    this.#viewAt = view.home?.head ?? 0;
  }

  get cursor(): string {
    return writeCursor(this.#deps.epoch, this.#marks);
  }

  async read(limit: number): ReturnType<Follower['read']> {
    const view = await loadView(this.#deps.db, this.#view.userId);
    const marks = alignedTo(view, this.#marks);
    const page = await nextChanges({ ...this.#deps, view }, marks, limit);
    this.#view = view;
    this.#viewAt = view.home?.head ?? 0;
    this.#marks = marks;
    return page;
  }

  take({ latest, readers }: News): { changes: Change[]; behind: boolean } {
    const changes: Change[] = [];
    const fresh = readers.flatMap(({ space }) => this.#freshOf(space, latest));
    const holds = fresh.every(({ kind }) => LEAVES_MOUNTS.has(kind)) && this.#homeHolds(latest, readers[0]?.homeHead ?? null);
    if (!holds) return { changes, behind: true };
    let behind = false;
    for (const { space } of readers) if (!this.#takeFrom(space, latest.get(space) ?? [], changes)) behind = true;
    return { changes, behind };
  }

  /** A mount can be in any space: what could have changed where one is, must be read with a new view. */
  #freshOf(space: number, latest: LatestRows): readonly JournalRow[] {
    const seq = this.#marks.get(space)?.seq ?? 0;
    return (latest.get(space) ?? []).filter((row) => row.seq > seq);
  }

  /** The same for what happened in the user's home since the view, also where another server told nothing of it. */
  #homeHolds(latest: LatestRows, homeHead: number | null): boolean {
    const { home } = this.#view;
    if (home === null || homeHead === null) return false;
    const since = (latest.get(home.id) ?? []).filter(({ seq }) => seq > this.#viewAt && seq <= homeHead);
    if (since.length !== homeHead - this.#viewAt || !since.every(({ kind }) => LEAVES_MOUNTS.has(kind))) return false;
    this.#viewAt = homeHead;
    return true;
  }

  /** @returns false if rows are missing before the newest */
  #takeFrom(id: number, rows: readonly JournalRow[], changes: Change[]): boolean {
    const space = this.#view.byId.get(id);
    for (const row of rows) {
      const mark = this.#marks.get(id);
      if (space === undefined || mark === undefined) return false;
      if (row.seq <= mark.seq) continue;
      if (row.seq !== mark.seq + 1) return false;
      this.#marks.set(id, { seq: row.seq, tag: row.tag });
      changes.push({ cursor: this.cursor, ...changeFor(row, space, this.#view.userId) });
    }
    return rows.length > 0;
  }
}

/** Marks for the spaces of the view, in its order. */
function alignedTo(view: View, marks: Marks): Map<number, Mark> {
  return new Map(view.spaces.map((space) => [space.id, markFrom(space, marks.get(space.id))]));
}
