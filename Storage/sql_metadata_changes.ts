import { LIMITS } from '../Models/limits.ts';
import type { NoticeDetails } from '../Models/notices.ts';
import type { Change } from './metadata.ts';
import { type CursorReading, openCursor, tagOf, writeCursor } from './sql_metadata_cursor.ts';
import { JOURNAL_KINDS } from './sql_metadata_schema.ts';
import type { SpaceView } from './sql_metadata_view.ts';

/** The reader's path of a path in the space, by where the mount is now. */
export function asSeen(space: SpaceView, path: string): string {
  if (space.path === '/') return path;
  return path === '/' ? space.path : space.path + path;
}

type Found = { readonly change: Omit<Change, 'cursor'>; readonly tag: string };

type Wanted = { readonly space: SpaceView; readonly afterSeq: number; readonly limit: number };

async function changesOf({ db, view }: CursorReading, { space, afterSeq, limit }: Wanted): Promise<Found[]> {
  const rows = await db
    .selectFrom('journal as j')
    .innerJoin('commits as c', 'c.id', 'j.commit_id')
    .select(['j.seq', 'j.kind', 'j.path', 'j.from_path', 'j.node', 'j.size', 'j.digest', 'j.commit_id', 'j.details'])
    .select(['c.user_id', 'c.user_name', 'c.device', 'c.at_ms', 'c.stream'])
    .where('j.space', '=', space.id)
    .where('j.seq', '>', afterSeq)
    .orderBy('j.seq')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    change: {
      space: space.id,
      sequence: row.seq,
      kind: JOURNAL_KINDS[row.kind] as Change['kind'],
      path: asSeen(space, row.path),
      fromPath: row.from_path === null ? null : asSeen(space, row.from_path),
      nodeId: row.node,
      version: row.seq,
      size: row.size,
      digest: row.digest,
      user: row.user_name,
      device: row.details !== null && row.user_id !== view.userId ? '' : row.device,
      atMs: row.at_ms,
      ...(row.details !== null && { details: JSON.parse(row.details) as NoticeDetails }),
    },
    tag: tagOf(row),
  }));
}

/** The journals of all spaces the caller can read: home first, each strictly in order. */
export async function changes(
  reading: CursorReading,
  query: { after: string | null; limit: number },
): Promise<{ changes: Change[]; cursor: string; more: boolean }> {
  const { view, epoch } = reading;
  const { starts: marks } = await openCursor(reading, query.after, { withHeads: false });
  const limit = Math.min(Math.max(1, query.limit), LIMITS.pageEntriesMax);
  const found: Change[] = [];
  let more = false;
  for (const space of view.spaces) {
    const room = limit - found.length;
    const rows = await changesOf(reading, { space, afterSeq: marks.get(space.id)?.seq ?? 0, limit: room + 1 });
    for (const { change, tag } of rows.slice(0, room)) {
      marks.set(space.id, { seq: change.sequence, tag });
      found.push({ cursor: writeCursor(epoch, marks), ...change });
    }
    more ||= rows.length > room;
  }
  return { changes: found, cursor: writeCursor(epoch, marks), more };
}
