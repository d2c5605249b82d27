import { hash } from 'node:crypto';
import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import type { Rows } from './sql_metadata_schema.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

/** A journal number, and the tag of the row that has it; without one where nothing the reader may see is before it. */
export type Mark = { readonly seq: number; readonly tag: string | null };
/** By space. */
export type Marks = ReadonlyMap<number, Mark>;

/** What a row of the journal and its commit hold that would not be the same in another history. */
type RowIdentity = {
  readonly kind: number;
  readonly node: number;
  readonly path: string;
  readonly digest: Buffer | null;
  readonly commit_id: number;
  readonly stream: Buffer | null;
  readonly device: string;
  readonly at_ms: number;
};
type FoundRow = RowIdentity & { readonly space: number; readonly seq: number };
type RowKey = readonly [space: number, seq: number];

/** Looked up by one statement. */
const KEYS = 128;
/** Base-36 digits: that a row of another history has the same tag happens once in two thousand million times. */
const TAG_DIGITS = 6;

/** Where a reader begins who has no cursor, or whose cursor is from before they joined. */
const joined = ({ joinedSeq }: SpaceView): Mark => ({ seq: joinedSeq, tag: null });

export function tagOf({ kind, node, path, digest, commit_id, stream, device, at_ms }: RowIdentity): string {
  const text = JSON.stringify([kind, node, path, digest?.toString('hex'), commit_id, stream?.toString('hex'), device, at_ms]);
  const number = hash('sha256', text, 'buffer').readUIntBE(0, 6) % 36 ** TAG_DIGITS;
  return number.toString(36).padStart(TAG_DIGITS, '0');
}

/**
 * A cursor is a mark per space, the reader's home first: base64url of `EPOCH.space:seq:tag,space:seq,space:seq:tag`, numbers in base 36, the epoch
 * cut to 8 digits. A space that is not in it begins where its reader joined. A `~` at the end: with it came folders that were still to be
 * listed, or something was gone that a folder may have left since.
 */
export function writeCursor(epoch: string, marks: Marks, { unlisted = false } = {}): string {
  const text = Array.from(marks, ([space, { seq, tag }]) =>
    [space.toString(36), seq.toString(36), ...(tag === null ? [] : [tag])].join(':'),
  );
  return Buffer.from(`${epoch.slice(0, 8)}.${text.join(',')}${unlisted ? '~' : ''}`).toString('base64url');
}

/** Whether folders may have left what was to be listed, or was gone, before the reader knew them there. @param cursor one that `readCursor` takes */
export function cameUnlisted(cursor: string): boolean {
  return Buffer.from(cursor, 'base64url').toString('latin1').endsWith('~');
}

/** What a cursor says; whether it is true, `openCursor` finds out. @throws AppError `cursor_invalid`: malformed, or of another epoch */
export function readCursor(epoch: string, cursor: string): Marks {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const match = /^([0-9a-f]{8})\.((?:[0-9a-z]{1,11}:[0-9a-z]{1,11}(?::[0-9a-z]{6})?(?:,(?=[^~])|(?=~?$)))*)~?$/.exec(text);
  if (match === null) throw new AppError('cursor_invalid', 'not a cursor, which is the last column of "changes" and "events"');
  if (match[1] !== epoch.slice(0, 8)) throw restored();
  const marks = new Map<number, Mark>();
  for (const part of (match[2] as string).split(',')) {
    const [space, seq, tag = null] = part.split(':');
    if (space !== undefined && seq !== undefined) marks.set(Number.parseInt(space, 36), { seq: Number.parseInt(seq, 36), tag });
  }
  return marks;
}

function restored(): AppError {
  return new AppError('cursor_invalid', 'the cursor is from before the server was restored');
}

type Tags = ReadonlyMap<string, string>; // by `space:seq`

async function tagsAt(db: Rows, keys: readonly RowKey[]): Promise<Tags> {
  const tags = new Map<string, string>();
  for (let at = 0; at < keys.length; at += KEYS) {
    const values = keys.slice(at, at + KEYS).map(([space, seq]) => sql`(CAST(${space} AS bigint), CAST(${seq} AS bigint))`);
    const { rows } = await sql<FoundRow>`
      WITH v (space, seq) AS (VALUES ${sql.join(values)})
      SELECT j.space, j.seq, j.kind, j.node, j.path, j.digest, j.commit_id, c.stream, c.device, c.at_ms
      FROM v CROSS JOIN journal j JOIN commits c ON c.id = j.commit_id WHERE j.space = v.space AND j.seq = v.seq`.execute(db);
    for (const row of rows) tags.set(`${row.space}:${row.seq}`, tagOf(row));
  }
  return tags;
}

export type CursorReading = { readonly db: Rows; readonly view: View; readonly epoch: string };
type Opened = {
  /** Where to begin in each space, in the order of the view. */
  readonly starts: Map<number, Mark>;
  /** Spaces that the cursor knows and the reader has joined again since: what happened there in between is not theirs to be told. */
  readonly rejoined: ReadonlySet<number>;
  /** The ends of the journals as the view knows them, if they are wanted. */
  readonly heads: Marks;
};

/**
 * Compares a cursor with the journals, in one statement. In a database that went back to an older copy and was written to since, other rows have the
 * numbers that the cursor was given for, or none.
 * @param cursor `null`: from the beginning
 * @throws AppError `cursor_invalid`: malformed, of another user, or of another history
 */
export async function openCursor(
  { db, view, epoch }: CursorReading,
  cursor: string | null,
  { withHeads }: { withHeads: boolean },
): Promise<Opened> {
  const given: Marks = cursor === null ? new Map() : readCursor(epoch, cursor);
  // A user's home stays the same: who has another one now, or none, is in another history.
  if (given.size > 0 && (view.home === null || !given.has(view.home.id))) throw restored();
  const tags = await tagsAt(
    db,
    view.spaces.flatMap((space) => keysOf(space, given.get(space.id), withHeads)),
  );
  const isRejoined = ({ id, joinedSeq }: SpaceView): boolean => (given.get(id)?.seq ?? joinedSeq) < joinedSeq;
  return {
    rejoined: new Set(view.spaces.filter(isRejoined).map(({ id }) => id)),
    starts: new Map(view.spaces.map((space) => [space.id, startIn(space, given.get(space.id), tags)])),
    heads: new Map(withHeads ? view.spaces.map((space) => [space.id, headOf(space, tags)]) : []),
  };
}

function keysOf({ id, head, joinedSeq }: SpaceView, mark: Mark | undefined, withHead: boolean): RowKey[] {
  const seqs = new Set<number>(); // mostly one: nothing has changed
  if (mark !== undefined && mark.tag !== null) seqs.add(mark.seq);
  if (withHead && head > joinedSeq) seqs.add(head);
  return Array.from(seqs, (seq) => [id, seq]);
}

function startIn(space: SpaceView, mark: Mark | undefined, tags: Tags): Mark {
  if (mark === undefined) return joined(space);
  const { seq, tag } = mark;
  // Up to where the reader joined no row is theirs to see, and that they joined is in the journal of their home.
  const isKnown = tag === null ? seq <= space.joinedSeq : tags.get(`${space.id}:${seq}`) === tag;
  if (!isKnown) throw restored();
  return markFrom(space, mark);
}

/** A mark that is true, in a space as the reader sees it now: what happened before they joined again is not shown. */
export function markFrom(space: SpaceView, mark: Mark | undefined): Mark {
  return mark !== undefined && mark.seq > space.joinedSeq ? mark : joined(space);
}

function headOf(space: SpaceView, tags: Tags): Mark {
  const { id, head: seq, joinedSeq } = space;
  if (seq <= joinedSeq) return joined(space);
  const tag = tags.get(`${id}:${seq}`);
  if (tag === undefined) throw new AppError('corrupt', `the last row of the journal of space ${id} is missing`);
  return { seq, tag };
}
