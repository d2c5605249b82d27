import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Change } from './metadata.ts';
import { JOURNAL_KINDS, type Rows } from './sql_metadata_schema.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

/**
 * A cursor is a journal position per space: base64url of `EPOCH.space:seq,space:seq`, numbers in base 36, the epoch cut to 8 digits.
 * A space that is not in it begins where its reader joined. A `~` at the end: with it came folders that were still to be listed.
 */
export type Positions = Map<number, number>;

export function writeCursor(epoch: string, positions: Positions, { unlisted = false } = {}): string {
  const text = Array.from(positions, ([space, seq]) => `${space.toString(36)}:${seq.toString(36)}`).join(',');
  return Buffer.from(`${epoch.slice(0, 8)}.${text}${unlisted ? '~' : ''}`).toString('base64url');
}

/** Whether folders were to be listed after the answer that ended with this cursor. @param cursor one that `readCursor` takes */
export function cameUnlisted(cursor: string): boolean {
  return Buffer.from(cursor, 'base64url').toString('latin1').endsWith('~');
}

/** @throws AppError `cursor_invalid`: malformed, or from before the database was restored */
export function readCursor(epoch: string, cursor: string): Positions {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const match = /^([0-9a-f]{8})\.((?:[0-9a-z]{1,11}:[0-9a-z]{1,11}(?:,(?=[^~])|(?=~?$)))*)~?$/.exec(text);
  if (match === null) throw new AppError('cursor_invalid', 'not a cursor');
  if (match[1] !== epoch.slice(0, 8)) throw new AppError('cursor_invalid', 'the cursor is from before the server was restored');
  const positions: Positions = new Map();
  for (const part of (match[2] as string).split(',')) {
    const [space, seq] = part.split(':').map((digits) => Number.parseInt(digits, 36));
    if (space !== undefined && seq !== undefined) positions.set(space, seq);
  }
  return positions;
}

/** The reader's path of a path in the space, by where the mount is now. */
function asSeen(space: SpaceView, path: string): string {
  if (space.path === '/') return path;
  return path === '/' ? space.path : space.path + path;
}

async function changesOf(db: Rows, space: SpaceView, afterSeq: number, limit: number): Promise<Omit<Change, 'cursor'>[]> {
  const rows = await db
    .selectFrom('journal as j')
    .innerJoin('commits as c', 'c.id', 'j.commit_id')
    .select(['j.seq', 'j.kind', 'j.path', 'j.from_path', 'j.node', 'j.size', 'j.digest', 'c.user_name', 'c.device', 'c.at_ms'])
    .where('j.space', '=', space.id)
    .where('j.seq', '>', afterSeq)
    .orderBy('j.seq')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
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
    device: row.device,
    atMs: row.at_ms,
  }));
}

/** The journals of all spaces the caller can read: home first, each strictly in order. */
export async function changes(
  { db, view, epoch }: { db: Rows; view: View; epoch: string },
  query: { after: string | null; limit: number },
): Promise<{ changes: Change[]; cursor: string; more: boolean }> {
  const given: Positions = query.after === null ? new Map() : readCursor(epoch, query.after);
  const limit = Math.min(Math.max(1, query.limit), LIMITS.pageEntriesMax);
  // A position from before the reader left and joined again would show what happened in between.
  const positions: Positions = new Map(view.spaces.map((space) => [space.id, Math.max(given.get(space.id) ?? 0, space.joinedSeq)]));
  const found: Change[] = [];
  let more = false;
  for (const space of view.spaces) {
    const room = limit - found.length;
    const rows = await changesOf(db, space, positions.get(space.id) as number, room + 1);
    for (const row of rows.slice(0, room)) {
      positions.set(space.id, row.sequence);
      found.push({ cursor: writeCursor(epoch, positions), ...row });
    }
    more ||= rows.length > room;
  }
  return { changes: found, cursor: writeCursor(epoch, positions), more };
}
