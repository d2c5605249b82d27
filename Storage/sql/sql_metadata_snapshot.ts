import { sql } from 'kysely';
import type { EntryKind } from '../../Models/operations.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import type { Dialect } from '../migrate.ts';
import { ENTRY_KINDS, KIND, NODE_COLUMNS, type Node, type Rows } from './sql_metadata_schema.ts';
import type { View } from './sql_metadata_view.ts';

/**
 * Some nodes with everything above them, all as of one moment: read by a single statement, because rows that were read one after the
 * other can show a node below a folder that it has left and that went elsewhere.
 */
export type Snapshot = {
  readonly rows: ReadonlyMap<number, Node>;
  /** Living mounts of spaces in the view, by space. */
  readonly mounts: ReadonlyMap<number, Node>;
  /** What a node is in, for the caller: of a mounted space's root the folder its mount is in; null for the home's root, undefined for what is nowhere. */
  parentOf(id: number): number | null | undefined;
  /** The node, and what it is in up to the home's root, itself first; null if it cannot be reached. */
  wayUp(id: number): number[] | null;
  /** A living node as the caller sees it. */
  shown(id: number, unlisted: boolean): FeedNode;
};

/** SQL for a table of ids, however many. */
export function idsIn(dialect: Dialect, ids: readonly number[]): ReturnType<typeof sql> {
  const list = JSON.stringify(ids);
  return dialect === 'sqlite'
    ? sql`SELECT value AS id FROM json_each(${list})`
    : sql`SELECT value::int8 AS id FROM json_array_elements_text(${list}::json)`;
}

/** @param view one with a home */
export async function takeSnapshot(db: Rows, dialect: Dialect, view: View, ids: readonly number[]): Promise<Snapshot> {
  const { rows } = await sql<Node>`
    WITH RECURSIVE up (id, parent) AS (
      SELECT seed.id, seed.parent FROM (
        SELECT n.id, n.parent FROM (${idsIn(dialect, ids)}) AS v CROSS JOIN nodes n WHERE n.id = v.id AND n.deleted_seq IS NULL
        UNION ALL SELECT n.id, n.parent FROM nodes n
          WHERE n.space IN (SELECT space FROM members WHERE user_id = ${view.userId}) AND n.mount IS NOT NULL AND n.deleted_seq IS NULL) AS seed
      UNION SELECT n.id, n.parent FROM up CROSS JOIN nodes n WHERE n.id = up.parent AND n.deleted_seq IS NULL)
    SELECT ${sql.raw(NODE_COLUMNS)} FROM up CROSS JOIN nodes n WHERE n.id = up.id`.execute(db);
  return openSnapshot(view, new Map(rows.map((row) => [row.id, row])));
}

function openSnapshot(view: View, rows: ReadonlyMap<number, Node>): Snapshot {
  const mounts = new Map<number, Node>();
  for (const row of rows.values())
    if (row.mount !== null && view.byId.has(row.space) && view.byId.has(row.mount)) mounts.set(row.mount, row);

  function parentOf(id: number): number | null | undefined {
    const row = rows.get(id);
    if (row === undefined || row.parent !== null) return row?.parent;
    const space = view.byId.get(row.space);
    if (space === undefined || space.root !== id) return undefined;
    return space.isHome ? null : mounts.get(space.id)?.parent;
  }

  return {
    rows,
    mounts,
    parentOf,
    wayUp(id) {
      const way: number[] = [];
      for (let at: number | null | undefined = id; at !== null; at = parentOf(at)) {
        if (at === undefined) return null;
        way.push(at);
      }
      return way;
    },
    shown(id, unlisted) {
      const node = rows.get(id);
      if (node === undefined) throw new Error('a node was asked for that is not there');
      const mount = node.parent === null ? mounts.get(node.space) : undefined;
      return feedNode(node, mount ?? node, unlisted);
    },
  };
}

/** @param place the node itself; of the root of a mounted space its mount */
export function feedNode(node: Node, place: Node, unlisted: boolean): FeedNode {
  return {
    nodeId: node.id,
    parentId: place.parent ?? 0,
    name: place.name,
    kind: ENTRY_KINDS[node.kind] as EntryKind,
    size: node.size,
    mtimeUs: node.mtimeUs,
    mode: node.mode,
    version: place.version,
    digest: node.kind === KIND.file ? node.digest : null,
    chunkCount: node.chunkCount,
    target: node.target,
    unlisted: unlisted && node.kind === KIND.folder,
  };
}
