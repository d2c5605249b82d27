import { LIMITS } from '../../Models/limits.ts';
import type { NoticeDetails } from '../../Models/notices.ts';
import type { Change } from '../metadata.ts';
import { type CursorReading, type Mark, openCursor, tagOf, writeCursor } from './sql_metadata_cursor.ts';
import { JOURNAL_KINDS, type Rows } from './sql_metadata_schema.ts';
import type { SpaceView } from './sql_metadata_view.ts';

/** The reader's path of a path in the space, by where the mount is now. */
export function asSeen(space: SpaceView, path: string): string {
  if (space.path === '/') return path;
  return path === '/' ? space.path : space.path + path;
}

const columns = (db: Rows) =>
  db
    .selectFrom('journal as j')
    .innerJoin('commits as c', 'c.id', 'j.commit_id')
    .select(['j.space', 'j.seq', 'j.kind', 'j.path', 'j.from_path', 'j.node', 'j.size', 'j.digest', 'j.commit_id', 'j.details'])
    .select(['c.user_id', 'c.user_name', 'c.device', 'c.at_ms', 'c.stream']);
type Selected = Awaited<ReturnType<ReturnType<typeof columns>['execute']>>[number];

/** A row of the journal, as it is for whoever reads it. */
export type JournalRow = Selected & { readonly tag: string };

const tagged = (row: Selected): JournalRow => ({ ...row, tag: tagOf(row) });

async function journalRows(
  db: Rows,
  at: { readonly space: number; readonly afterSeq: number; readonly limit: number },
): Promise<JournalRow[]> {
  const rows = await columns(db)
    .where('j.space', '=', at.space)
    .where('j.seq', '>', at.afterSeq)
    .orderBy('j.seq')
    .limit(at.limit)
    .execute();
  return rows.map(tagged);
}

/** The newest rows of a space, in order. */
export async function latestJournalRows(db: Rows, space: number, limit: number): Promise<JournalRow[]> {
  const rows = await columns(db).where('j.space', '=', space).orderBy('j.seq', 'desc').limit(limit).execute();
  return rows.reverse().map(tagged);
}

/** A row as this user sees it, in a space as they see it. */
export function changeFor(row: JournalRow, space: SpaceView, userId: string): Omit<Change, 'cursor'> {
  const details = row.details === null ? null : (JSON.parse(row.details) as NoticeDetails);
  return {
    space: space.id,
    sequence: row.seq,
    kind: JOURNAL_KINDS[row.kind] as Change['kind'],
    path: asSeen(space, row.path),
    fromPath: row.from_path === null ? null : asSeen(space, row.from_path),
    nodeId: row.node,
    version: row.seq,
    size: row.size,
    digest: row.digest,
    user: details === null ? row.user_name : toldBy(row.user_name, details),
    device: details !== null && row.user_id !== userId ? '' : row.device,
    atMs: row.at_ms,
    ...(details !== null && { details }),
  };
}

/** Who was invited learns of nobody but who invited them, also when another owner took the invitation back. */
function toldBy(user: string, { from, to }: NoticeDetails): string {
  return to === undefined || user === to ? user : String(from);
}

/** The journals of all spaces of the view: home first, each strictly in order. @param marks moved behind what is given out */
export async function nextChanges(
  { db, view, epoch }: CursorReading,
  marks: Map<number, Mark>,
  wanted: number,
): Promise<{ changes: Change[]; more: boolean }> {
  const limit = Math.min(Math.max(1, wanted), LIMITS.pageEntriesMax);
  const changes: Change[] = [];
  let more = false;
  for (const space of view.spaces) {
    const room = limit - changes.length;
    const rows = await journalRows(db, { space: space.id, afterSeq: marks.get(space.id)?.seq ?? 0, limit: room + 1 });
    for (const row of rows.slice(0, room)) {
      marks.set(space.id, { seq: row.seq, tag: row.tag });
      changes.push({ cursor: writeCursor(epoch, marks), ...changeFor(row, space, view.userId) });
    }
    more ||= rows.length > room;
  }
  return { changes, more };
}

/** See Metadata.changes. */
export async function changes(
  reading: CursorReading,
  query: { after: string | null; limit: number },
): Promise<{ changes: Change[]; cursor: string; more: boolean }> {
  const { starts: marks } = await openCursor(reading, query.after, { withHeads: false });
  const page = await nextChanges(reading, marks, query.limit);
  return { ...page, cursor: writeCursor(reading.epoch, marks) };
}
