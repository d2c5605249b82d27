import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import type { ChangeKind } from '../metadata.ts';
import { type CursorReading, cameUnlisted, openCursor, writeCursor } from './sql_metadata_cursor.ts';
import { JOURNAL_KINDS, type Rows } from './sql_metadata_schema.ts';

/** What the result of an operation tells all of; of a copy, or a move between spaces, it does not. */
const TOLD = (['put', 'symlink', 'mkdir', 'move', 'delete', 'attributes'] satisfies ChangeKind[]).map((kind) =>
  JOURNAL_KINDS.indexOf(kind),
);

type Own = { readonly cursor: string; readonly stream: Buffer };

/**
 * See Metadata.cursorPast. The cursor is compared with the journal first: of a server that went back it must not become one that looks true.
 * @param reading of a view whose heads were read before everything else
 */
export async function cursorPast(reading: CursorReading, { cursor, stream }: Own): Promise<string | null> {
  const { db, view, epoch } = reading;
  try {
    const { starts, heads } = await openCursor(reading, cursor, { withHeads: true });
    if (cameUnlisted(cursor)) return null; // the next feed has more to tell than what is behind it
    for (const [space, { seq: after }] of starts) {
      const until = heads.get(space)?.seq ?? after;
      if (until > after && (await hasOthers(db, { space, after, until, stream, user: view.userId }))) return null;
    }
    return writeCursor(epoch, heads);
  } catch (error) {
    if (error instanceof AppError && error.code === 'cursor_invalid') return null; // the next feed says so
    throw error;
  }
}

type Span = { readonly space: number; readonly after: number; readonly until: number; readonly stream: Buffer; readonly user: string };

/** Whether a row of the span is not of an operation of this stream, or is one more than its result tells of. */
async function hasOthers(db: Rows, { space, after, until, stream, user }: Span): Promise<boolean> {
  const { rows } = await sql`
    SELECT 1 FROM journal j JOIN commits c ON c.id = j.commit_id
    WHERE j.space = ${space} AND j.seq > ${after} AND j.seq <= ${until}
      AND (c.stream IS NULL OR c.stream <> ${stream} OR c.user_id <> ${user} OR j.op IS NULL OR j.kind NOT IN (${sql.join(TOLD)}))
    LIMIT 1`.execute(db);
  return rows.length > 0;
}
