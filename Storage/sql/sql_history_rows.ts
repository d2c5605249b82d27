import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { foldName, readAnchored, splitPath } from '../../Models/names.ts';
import type { EntryKind } from '../../Models/operations.ts';
import type { Act } from '../history.ts';
import type { Store } from './sql_metadata_batch.ts';
import { resolve } from './sql_metadata_list.ts';
import { JOURNAL_KINDS, NODE_COLUMNS, type Node, type Rows } from './sql_metadata_schema.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

export type HistoryReading = { readonly store: Store; readonly db: Rows; readonly view: View };

/** A row of the journal with who made it. */
export type JournalRow = {
  readonly space: number;
  readonly seq: number;
  readonly kind: number;
  readonly node: number;
  readonly path: string;
  readonly from_path: string | null;
  readonly parent: number | null;
  readonly prev: number | null;
  readonly size: number;
  readonly mtime_us: number;
  readonly digest: Buffer | null;
  readonly mode: number;
  readonly target: string | null;
  readonly chunk_count: number;
  readonly thinned_at_ms: number | null;
} & ActRow;
export type ActRow = {
  readonly commit_id: number;
  readonly stream: Buffer | null;
  readonly user_name: string;
  readonly device: string;
  readonly at_ms: number;
  readonly reason: string | null;
};

const ACT_COLUMNS = 'c.id AS commit_id, c.stream, c.user_name, c.device, c.at_ms, c.reason';
/** A file of one chunk has no manifest, and an empty one none either. */
const CHUNK_COUNT =
  'CASE WHEN j.manifest IS NOT NULL THEN octet_length(j.manifest) / 36 WHEN j.target IS NULL AND j.size > 0 THEN 1 ELSE 0 END';
export const JOURNAL_COLUMNS = `j.space, j.seq, j.kind, j.node, j.path, j.from_path, j.parent, j.prev, j.size, j.mtime_us, j.digest, j.mode, j.target,
  ${CHUNK_COUNT} AS chunk_count, j.thinned_at_ms, ${ACT_COLUMNS}`;

export function actOf(row: ActRow): Act {
  return {
    user: row.user_name,
    device: row.device,
    operation: row.stream === null ? String(row.commit_id) : row.stream.toString('hex'),
    reason: row.reason as Act['reason'],
    atMs: row.at_ms,
  };
}

export const kindOfRow = (row: Pick<JournalRow, 'digest' | 'target'>): EntryKind =>
  row.digest === null ? 'folder' : row.target === null ? 'file' : 'symlink';

const IMPORT = JOURNAL_KINDS.indexOf('import');

/** The first journal number of a space that the reader is told of: who owns it is told of everything. */
export function toldFrom(view: View, space: SpaceView): number {
  return space.ownerId === view.userId ? 1 : space.joinedSeq + 1;
}

type Start = { readonly space: number; readonly seq: number };

/**
 * Rows of one node from `start` back, the newest first. What was shared goes on in the journal that it came from, if the reader has that.
 * @param start a row that the reader may see: how a node is now they see whenever that came to be
 */
export async function rowsBack({ db, view }: HistoryReading, start: Start, limit: number): Promise<JournalRow[]> {
  const spaces = sql.join(view.spaces.map((space) => sql.lit(space.id)));
  const { rows } = await sql<JournalRow>`
    WITH RECURSIVE chain (n, space, seq, prev, node, kind) AS (
      SELECT 0, j.space, j.seq, j.prev, j.node, j.kind FROM journal j WHERE j.space = ${start.space} AND j.seq = ${start.seq}
      UNION ALL
      SELECT chain.n + 1, j.space, j.seq, j.prev, j.node, j.kind FROM chain CROSS JOIN journal j
      WHERE j.space IN (${spaces}) AND j.seq = chain.prev AND j.node = chain.node
        AND (j.space = chain.space OR chain.kind = ${sql.lit(IMPORT)}) AND chain.n < ${sql.lit(limit - 1)})
    SELECT ${sql.raw(JOURNAL_COLUMNS)} FROM chain JOIN journal j ON j.space = chain.space AND j.seq = chain.seq
    JOIN commits c ON c.id = j.commit_id ORDER BY chain.n`.execute(db);
  return rows.filter((row, i) => i === 0 || isTold(view, row));
}

export function isTold(view: View, { space, seq }: Start): boolean {
  const told = view.byId.get(space);
  return told !== undefined && seq >= toldFrom(view, told);
}

/** A row by its number. */
export async function rowAt(db: Rows, { space, seq }: Start): Promise<JournalRow | undefined> {
  const { rows } = await sql<JournalRow>`SELECT ${sql.raw(JOURNAL_COLUMNS)} FROM journal j JOIN commits c ON c.id = j.commit_id
    WHERE j.space = ${space} AND j.seq = ${seq}`.execute(db);
  return rows[0];
}

/** A node with the deletion that took it away, its own or that of the folder it went with. */
export type Found = { readonly node: Node; readonly taken: GoneNode | null };
export type GoneNode = Node & { readonly deletedSeq: number };

/** The node at a path, or if there is none the last that was there. @throws AppError `not_found`, `path_invalid`, `name_invalid` */
export async function findEver(reading: HistoryReading, path: string): Promise<Found> {
  const { store, db, view } = reading;
  if (view.home === null) {
    if (readAnchored(path) === null) splitPath(path);
    throw nothingAt(path);
  }
  const [living] = await resolve(store, db, view, [path]);
  if (living?.node != null) return { node: living.node, taken: null };
  if (readAnchored(path) !== null) return goneById(reading, path);
  return goneByPath(reading, path);
}

export function nothingAt(path: string): AppError {
  return new AppError('not_found', `nothing at ${path}`);
}

async function goneById({ db, view }: HistoryReading, path: string): Promise<Found> {
  const anchored = readAnchored(path);
  const { rows } = await sql<GoneNode>`SELECT ${sql.raw(NODE_COLUMNS)}, n.deleted_seq AS "deletedSeq" FROM nodes n
    WHERE n.id = ${anchored?.id ?? 0} AND n.deleted_seq IS NOT NULL`.execute(db);
  const [node] = rows;
  if (node === undefined || anchored?.below.length !== 0 || !isTold(view, { space: node.space, seq: node.deletedSeq }))
    throw nothingAt(path);
  return { node, taken: node };
}

/** Goes down from the last folder on the way that is there. */
async function goneByPath({ store, db, view }: HistoryReading, path: string): Promise<Found> {
  const parts = splitPath(path);
  const ways = parts.map((_, i) => `/${parts.slice(0, i).join('/')}`).reverse();
  const there = await resolve(store, db, view, ways);
  const at = there.findIndex(({ node }) => node !== null);
  let node = there[at]?.node ?? null;
  let taken: GoneNode | null = null;
  for (const name of parts.slice(parts.length - 1 - at)) {
    const next: (Node & { deletedSeq: number | null }) | null = node === null ? null : await lastChild(db, view, node.id, name);
    if (next === null) throw nothingAt(path);
    if (taken === null && next.deletedSeq !== null) taken = { ...next, deletedSeq: next.deletedSeq };
    node = next;
  }
  if (node === null || taken === null) throw nothingAt(path);
  return { node, taken };
}

/** The child of this name, the living one before one that is gone, of these the last. */
async function lastChild(db: Rows, view: View, parent: number, name: string): Promise<(Node & { deletedSeq: number | null }) | null> {
  const living = sql<Node & { deletedSeq: number | null }>`SELECT ${sql.raw(NODE_COLUMNS)}, n.deleted_seq AS "deletedSeq" FROM nodes n
    WHERE n.parent = ${parent} AND n.key = ${foldName(name)} AND n.name = ${name}`;
  const { rows: alive } = await sql<Node & { deletedSeq: number | null }>`${living} AND n.deleted_seq IS NULL`.execute(db);
  if (alive[0] !== undefined) return alive[0];
  const { rows } = await sql<Node & { deletedSeq: number | null }>`${living} AND n.deleted_seq IS NOT NULL
    ORDER BY n.deleted_seq DESC`.execute(db);
  return rows.find(({ space, deletedSeq }) => isTold(view, { space, seq: deletedSeq ?? 0 })) ?? null;
}

export function pageLimit(limit: number): number {
  return Math.min(Math.max(1, limit), LIMITS.pageEntriesMax);
}

/** @throws AppError `cursor_invalid` */
export function readPosition(after: string | null, parts: number): number[] | null {
  if (after === null) return null;
  const numbers = after.split('.').map(Number);
  if (numbers.length !== parts || !numbers.every((number) => Number.isSafeInteger(number) && number >= 0) || after.length > 40) {
    throw new AppError('cursor_invalid', 'not a position of this listing');
  }
  return numbers;
}
