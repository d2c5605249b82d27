import { type FileKind, fileKindOf } from '../Models/file_kinds.ts';
import type { Database } from './database.ts';
import type { Principal } from './metadata.ts';
import { asSeen } from './sql/sql_metadata_changes.ts';
import { childrenOf, listStatements, type Reading, walk } from './sql/sql_metadata_list.ts';
import { JOURNAL_KINDS, KIND, type MetadataSchema, type Rows } from './sql/sql_metadata_schema.ts';
import { nodeLookups } from './sql/sql_metadata_tree.ts';
import { loadView, type SpaceView, type View } from './sql/sql_metadata_view.ts';

export type Counted = { readonly files: number; readonly bytes: number };
export type StatisticsReport = Counted & {
  readonly folders: number; // below the path, it itself not among them
  readonly symlinks: number;
  /** Of which kinds the files are, the most bytes first. */
  readonly kinds: readonly (Counted & { readonly kind: FileKind })[];
  /** Days (UTC, `2026-11-27`) on which something below the path changed, in order. */
  readonly days: readonly { readonly day: string; readonly changes: number }[];
  /** Folders in which most changed in this time, under the names they had. */
  readonly busiest: readonly { readonly path: string; readonly changes: number }[];
  /** Changes are counted from here on, ms since 1970: thirty days back, or fewer where there were very many. */
  readonly changesSinceMs: number;
};

export type Statistics = {
  /**
   * What is below a path and what was done there. Looks at everything below it: about two seconds for a million files.
   * @throws AppError `not_found`, `not_a_folder`, `path_invalid`, `name_invalid`
   */
  report(principal: Principal, path: string): Promise<StatisticsReport>;
};

const DAYS = 30;
const DAY_MS = 86_400_000;
const BUSIEST = 10;
/** Changes that one report looks at, and how many come with one statement. */
const CHANGES = 200_000;
const ROWS = 4096;
/** What people do; the other kinds of rows tell of spaces. */
const DONE: readonly number[] = (['put', 'symlink', 'mkdir', 'move', 'copy', 'delete'] as const).map((kind) => JOURNAL_KINDS.indexOf(kind));

export function sqlStatistics(database: Database<MetadataSchema>, now: () => number = Date.now): Statistics {
  const { db, dialect } = database;
  const lookups = nodeLookups(dialect);
  const lists = listStatements(dialect);
  return {
    async report(principal, path) {
      const view = await loadView(db, principal.userId);
      const content = await countContent({ store: { lookups, database }, lists, db, view }, path);
      return { ...content, ...(await countChanges({ db, view }, path, now())) };
    },
  };
}

async function countContent(reading: Reading, path: string) {
  const counted = { files: 0, folders: 0, symlinks: 0, bytes: 0 };
  const kinds = new Map<FileKind, { files: number; bytes: number }>();
  for await (const folders of walk(reading, path)) {
    const ids = folders.map(({ id }) => id);
    for await (const { rows } of childrenOf(reading, ids)) {
      for (const { kind, name, size } of rows) {
        if (kind === KIND.symlink) counted.symlinks += 1;
        else if (kind !== KIND.file) counted.folders += 1;
        else {
          const same = kinds.get(fileKindOf(name)) ?? { files: 0, bytes: 0 };
          kinds.set(fileKindOf(name), { files: same.files + 1, bytes: same.bytes + size });
          counted.files += 1;
          counted.bytes += size;
        }
      }
    }
  }
  const byBytes = Array.from(kinds, ([kind, same]) => ({ kind, ...same })).sort((a, b) => b.bytes - a.bytes || b.files - a.files);
  return { ...counted, kinds: byBytes };
}

async function countChanges({ db, view }: { db: Rows; view: View }, path: string, nowMs: number) {
  const top = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  const days = new Map<string, number>();
  const folders = new Map<string, number>();
  let sinceMs = nowMs - DAYS * DAY_MS;
  let left = CHANGES;
  for (const space of view.spaces) {
    const oldest = await eachChange(db, { space, sinceMs, limit: left }, (change) => {
      left -= 1;
      const seen = asSeen(space, change.path);
      if (top !== '/' && !seen.startsWith(`${top}/`)) return;
      const day = new Date(change.atMs).toISOString().slice(0, 10);
      days.set(day, (days.get(day) ?? 0) + 1);
      const folder = seen.slice(0, Math.max(1, seen.lastIndexOf('/')));
      folders.set(folder, (folders.get(folder) ?? 0) + 1);
    });
    if (oldest !== null) sinceMs = Math.max(sinceMs, oldest);
  }
  const busiest = Array.from(folders, ([folder, changes]) => ({ path: folder, changes }));
  busiest.sort((a, b) => b.changes - a.changes || (a.path < b.path ? -1 : 1));
  return {
    days: Array.from(days, ([day, changes]) => ({ day, changes })).sort((a, b) => (a.day < b.day ? -1 : 1)),
    busiest: busiest.slice(0, BUSIEST),
    changesSinceMs: sinceMs,
  };
}

type ChangeAt = { readonly path: string; readonly atMs: number };

/** From the newest back. @returns the time of the oldest that was looked at when there are more of them than `limit` */
async function eachChange(
  db: Rows,
  { space, sinceMs, limit }: { space: SpaceView; sinceMs: number; limit: number },
  take: (change: ChangeAt) => void,
): Promise<number | null> {
  let looked = 0;
  for (let before = space.head + 1; ; ) {
    const rows = await db
      .selectFrom('journal as j')
      .innerJoin('commits as c', 'c.id', 'j.commit_id')
      .select(['j.seq', 'j.kind', 'j.path', 'c.at_ms as atMs'])
      .where('j.space', '=', space.id)
      .where('j.seq', '<', before)
      .where('j.seq', '>', space.joinedSeq)
      .orderBy('j.seq', 'desc')
      .limit(ROWS)
      .execute();
    for (const row of rows) {
      if (row.atMs < sinceMs) return null;
      if (looked === limit) return row.atMs;
      looked += 1;
      if (DONE.includes(row.kind)) take(row);
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < ROWS) return null;
    before = last.seq;
  }
}
