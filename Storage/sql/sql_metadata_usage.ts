import { sql } from 'kysely';
import { NOTICE_KINDS } from '../../Models/notices.ts';
import { JOURNAL_KINDS, KIND, type Rows } from './sql_metadata_schema.ts';

/**
 * How many bytes the living files of a space have. The figure is kept beside the journal row that it is of, and brought forward from the rows
 * behind it; only what the rows cannot tell cheaply makes it count anew.
 */

type Moved = { readonly seq: number; readonly rows: number; readonly bytes: number; readonly unclear: number };

const kindNumber = (kind: (typeof JOURNAL_KINDS)[number]): number => JOURNAL_KINDS.indexOf(kind);
const numbers = (...kinds: (typeof JOURNAL_KINDS)[number][]) => sql.join(kinds.map((kind) => sql.lit(kindNumber(kind))));
const DELETE = sql.lit(kindNumber('delete'));
const FILED = sql.lit(KIND.file);
/** These rows bring a content, in place of what the node had. */
const CONTENT = numbers('put', 'symlink', 'copy', 'restore');
/** These change no bytes. */
const PLAIN = numbers('mkdir', 'move', 'attributes', 'join', 'leave', ...NOTICE_KINDS);

/** Under the space's lock. @returns bytes, with all that this transaction has flushed */
export async function usageOf(trx: Rows, space: number): Promise<number> {
  const known = await trx.selectFrom('space_usage').select(['seq', 'bytes']).where('space', '=', space).executeTakeFirst();
  const moved = await movedSince(trx, space, known?.seq ?? 0);
  if (known !== undefined && moved.rows === 0) return known.bytes;
  const bytes =
    known === undefined || moved.unclear > 0
      ? await countAll(trx, space)
      : known.bytes + moved.bytes + (await foldersGone(trx, space, known.seq));
  const row = { space, seq: moved.seq, bytes };
  await trx
    .insertInto('space_usage')
    .values(row)
    .onConflict((conflict) => conflict.column('space').doUpdateSet({ seq: row.seq, bytes }))
    .execute();
  return bytes;
}

/** What the rows behind `seq` say of files. */
async function movedSince(trx: Rows, space: number, seq: number): Promise<Moved> {
  const before = sql`CASE WHEN p.kind IS NULL OR p.kind = ${DELETE} THEN 0 ELSE p.size END`;
  const { rows } = await sql<Moved>`SELECT count(*) AS rows, coalesce(max(j.seq), ${seq}) AS seq,
      coalesce(sum(CASE WHEN n.kind = ${FILED} AND j.kind IN (${CONTENT}) THEN j.size - ${before} WHEN n.kind = ${FILED} AND j.kind = ${DELETE} THEN -${before} ELSE 0 END), 0) AS bytes,
      coalesce(sum(CASE WHEN j.kind IN (${PLAIN}) OR n.kind = 2 THEN 0 WHEN n.kind = ${FILED} AND (j.kind IN (${CONTENT}) OR j.kind = ${DELETE}) THEN 0
        WHEN j.kind = ${DELETE} AND n.deleted_seq = j.seq THEN 0 WHEN n.kind = 1 AND j.kind IN (${CONTENT}) AND p.kind IS NULL THEN 0 ELSE 1 END), 0) AS unclear
    FROM journal j LEFT JOIN nodes n ON n.id = j.node LEFT JOIN journal p ON p.space = j.space AND p.seq = j.prev
    WHERE j.space = ${space} AND j.seq > ${seq}`.execute(trx);
  return rows[0] as Moved;
}

/** Folders that were deleted behind `seq` and still are: what was in them then is in them now. @returns bytes, not positive */
async function foldersGone(trx: Rows, space: number, seq: number): Promise<number> {
  const gone = await trx
    .selectFrom('nodes')
    .select('id')
    .where('space', '=', space)
    .where('deleted_seq', '>', seq)
    .where('kind', '=', KIND.folder)
    .execute();
  let bytes = 0;
  for (const { id } of gone) bytes -= await bytesBelow(trx, id);
  return bytes;
}

async function countAll(trx: Rows, space: number): Promise<number> {
  const { root } = await trx.selectFrom('spaces').select('root').where('id', '=', space).executeTakeFirstOrThrow();
  return bytesBelow(trx, root);
}

/** Bytes of the living files below a folder, mounts left out. A file counts itself. */
export async function bytesBelow(trx: Rows, node: number): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    WITH RECURSIVE folders (id) AS (
      SELECT n.id FROM nodes n WHERE n.id = ${node}
      UNION ALL SELECT n.id FROM folders f CROSS JOIN nodes n WHERE n.parent = f.id AND n.kind IN (1, 3) AND n.deleted_seq IS NULL AND n.kind = 1)
    SELECT coalesce(sum(n.size), 0) + coalesce((SELECT size FROM nodes WHERE id = ${node} AND kind = ${FILED}), 0) AS bytes
    FROM folders f CROSS JOIN nodes n WHERE n.parent = f.id AND n.kind = ${FILED} AND n.deleted_seq IS NULL`.execute(trx);
  return rows[0]?.bytes ?? 0;
}
