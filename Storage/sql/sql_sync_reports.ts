import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { Database } from '../database.ts';
import type { Dialect } from '../migrate.ts';
import type { Principal } from '../principal.ts';
import type { FilePlaces, ReportedRoot, SyncReport, SyncReports } from '../sync_reports.ts';
import { showState } from '../sync_states.ts';
import { reachedPaths } from './sql_metadata_anchors.ts';
import { type CursorReading, type Marks, openCursor, readCursor } from './sql_metadata_cursor.ts';
import { resolve } from './sql_metadata_list.ts';
import { JOURNAL_KINDS, KIND, type MetadataSchema, NO_NODE, type Node, type Rows } from './sql_metadata_schema.ts';
import { idsIn, type Snapshot, takeSnapshot } from './sql_metadata_snapshot.ts';
import { nodeLookups } from './sql_metadata_tree.ts';
import { loadView, type SpaceView } from './sql_metadata_view.ts';

type Deps = { readonly epoch: string; readonly now: () => number };
/** A report, with the marks of its cursor if that is one of this database's history. */
type Told = Omit<SyncReport, 'counter' | 'cursor' | 'mark'> & {
  readonly device: string;
  readonly atMs: number;
  readonly seenAtMs: number;
  readonly marks: Marks | null;
};

export function sqlSyncReports(database: Database<MetadataSchema>, { epoch, now }: Deps): SyncReports {
  const { db, dialect } = database;
  const lookups = nodeLookups(dialect);

  async function places(principal: Principal, paths: readonly string[]): Promise<(FilePlaces | null)[]> {
    const view = await loadView(db, principal.userId);
    if (view.home === null) return paths.map(() => null);
    const told = await reportsOf({ db, view, epoch }, now());
    const found = await resolve({ lookups }, db, view, paths);
    const files = found.flatMap(({ node }) => (node?.kind === KIND.file ? [node.id] : []));
    const snapshot = await takeSnapshot(db, dialect, view, files);
    const placed = await lastPlacings(db, dialect, foldersBehind(snapshot, told));
    return found.map(({ path, node }) => {
      const file = node?.kind === KIND.file ? snapshot.rows.get(node.id) : undefined;
      const way = file === undefined ? null : snapshot.wayUp(file.id);
      if (file === undefined || way === null) return null;
      const devices = new Map<string, number>();
      for (const one of told) {
        if (isThere(one, way, snapshot, placed)) devices.set(one.device, Math.max(one.atMs, devices.get(one.device) ?? 0));
      }
      return { path, version: file.version, devices: Array.from(devices, ([deviceId, atMs]) => ({ deviceId, atMs })) };
    });
  }

  async function roots(principal: Principal): Promise<ReportedRoot[]> {
    const view = await loadView(db, principal.userId);
    if (view.home === null) return [];
    const told = await reportsOf({ db, view, epoch }, now());
    const ids = [...new Set(told.map(({ root }) => root))];
    const paths = await reachedPaths(db, lookups, view, ids);
    const nodes = await lookups.byId(
      db,
      ids.map((id) => [id]),
    );
    const spaceOf = new Map(nodes.map(({ id, space }) => [id, view.byId.get(space)]));
    const reported: ReportedRoot[] = [];
    for (const { device, root, marks, missing, ...one } of told.sort((a, b) => b.seenAtMs - a.seenAtMs)) {
      const path = paths.get(root) ?? null;
      const space = spaceOf.get(root);
      const below = path === null || space === undefined ? [] : placesBelow(view.spaces, space, path);
      const behind = marks === null || path === null ? null : await countBehind(db, below, marks);
      const { atMs: reportedAtMs, seenAtMs, state, waiting, problems, held } = one;
      reported.push({ state, deviceId: device, path, reportedAtMs, seenAtMs, behind, waiting, problems, held });
    }
    return reported;
  }

  return {
    take: (principal, report) => database.write((trx) => takeReport(trx, principal, report, now())),
    places,
    roots,
  };
}

async function takeReport(trx: Rows, { userId, deviceId }: Principal, report: SyncReport, nowMs: number): Promise<boolean> {
  const { state, counter, mark, root, cursor, missing, waiting, problems, held } = report;
  if (!(await showState(trx, userId, { state, counter, nowMs }, '<='))) return false;
  const said = { device: deviceId, mark, root, cursor, missing: missing === null ? null : JSON.stringify(missing) };
  const values = { ...said, waiting, problems, held: held ? 1 : 0, at_ms: nowMs };
  await trx
    .insertInto('sync_reports')
    .values({ user_id: userId, state, ...values })
    .onConflict((conflict) => conflict.columns(['user_id', 'state']).doUpdateSet(values))
    .execute();
  return true;
}

/** All that are not too old. */
async function reportsOf(reading: CursorReading, nowMs: number): Promise<Told[]> {
  const rows = await reading.db
    .selectFrom('sync_reports as r')
    .innerJoin('sync_states as s', (join) => join.onRef('s.user_id', '=', 'r.user_id').onRef('s.state', '=', 'r.state'))
    .selectAll('r')
    .select('s.shown_at_ms')
    .where('r.user_id', '=', reading.view.userId)
    .where('s.shown_at_ms', '>', nowMs - LIMITS.syncReportCountedMs)
    .execute();
  const told: Told[] = [];
  for (const { state, device, root, cursor, missing, waiting, problems, held, at_ms, shown_at_ms } of rows) {
    told.push({
      ...{ state, device, root, waiting, problems, held: held !== 0, atMs: at_ms, seenAtMs: Math.max(shown_at_ms, at_ms) },
      missing: missing === null ? null : (JSON.parse(missing) as number[]),
      marks: await trueMarks(reading, cursor),
    });
  }
  return told;
}

/** `null`: the cursor is of another history than the one that is stored here. */
async function trueMarks(reading: CursorReading, cursor: string): Promise<Marks | null> {
  try {
    await openCursor(reading, cursor, { withHeads: false });
    return readCursor(reading.epoch, cursor);
  } catch (error) {
    if (error instanceof AppError && error.code === 'cursor_invalid') return null;
    throw error;
  }
}

/** Folders that changed since some report, if only in their time: that of a folder changes with each file in it. */
function foldersBehind({ rows }: Snapshot, told: readonly Told[]): number[] {
  const isBehind = ({ space, version }: Node): boolean => told.some(({ marks }) => version > (marks?.get(space)?.seq ?? version));
  return [...rows.values()].flatMap((node) => (node.kind === KIND.folder && isBehind(node) ? [node.id] : []));
}

const ATTRIBUTES = sql.lit(JOURNAL_KINDS.indexOf('attributes'));
/** Changes of one folder's time or mode in a row that are looked through; if there are more the folder counts as placed with the last of them. */
const ATTRIBUTES_MAX = 1000;

/** @returns by folder the number of the last change that was more than another time or mode: it was in its place from then on */
async function lastPlacings(db: Rows, dialect: Dialect, folders: readonly number[]): Promise<Map<number, number>> {
  if (folders.length === 0) return new Map();
  const { rows } = await sql<{ node: number; seq: number }>`
    WITH RECURSIVE back (node, space, seq, steps) AS (
      SELECT n.id, n.space, n.version, 0 FROM (${idsIn(dialect, folders)}) AS v CROSS JOIN nodes n WHERE n.id = v.id
      UNION ALL SELECT b.node, b.space, j.prev, b.steps + 1 FROM back b CROSS JOIN journal j
        WHERE j.space = b.space AND j.seq = b.seq AND j.kind = ${ATTRIBUTES} AND j.prev IS NOT NULL AND b.steps < ${sql.lit(ATTRIBUTES_MAX)})
    SELECT node, min(seq) AS seq FROM back GROUP BY node`.execute(db);
  return new Map(rows.map(({ node, seq }) => [node, Number(seq)]));
}

/**
 * Each change of a node, a move too, gives it the next number of its space's journal as its version. So if neither the file nor a folder above it was
 * changed behind the report's mark, all of them were in the same place with the same content when the report was made.
 * @param way the file, and what it is in up to the home's root
 */
function isThere(
  { root, marks, missing }: Told,
  way: readonly number[],
  { rows, mounts }: Snapshot,
  placed: ReadonlyMap<number, number>,
): boolean {
  const depth = way.indexOf(root);
  if (depth === -1 || marks === null || missing === null) return false;
  const absent = new Set(missing);
  return way.slice(0, depth).every((id) => {
    const node = rows.get(id);
    if (node === undefined || absent.has(id)) return false;
    const mount = node.parent === null ? mounts.get(node.space) : undefined; // the place of a shared folder is that of its mount
    return [node, mount].every((row) => row === undefined || (placed.get(row.id) ?? row.version) <= (marks.get(row.space)?.seq ?? -1));
  });
}

type Below = { readonly space: SpaceView; readonly path: string /* from the space's root */ };

/** Where in which spaces what is below a folder of this space lies. */
function placesBelow(spaces: readonly SpaceView[], space: SpaceView, path: string): Below[] {
  const own = space.path === '/' ? path : path.slice(space.path.length) || '/';
  const start = path === '/' ? '/' : `${path}/`;
  const mounted = spaces.filter((other) => other !== space && other.path.startsWith(start) && other.path !== '/');
  return [{ space, path: own }, ...mounted.map((other) => ({ space: other, path: '/' }))];
}

const BEHIND_MAX = 10_000;

async function countBehind(db: Rows, below: readonly Below[], marks: Marks): Promise<number> {
  let behind = 0;
  for (const { space, path } of below) {
    const after = marks.get(space.id)?.seq ?? space.joinedSeq;
    if (space.head <= after) continue;
    const start = path === '/' ? '/' : `${path}/`;
    const length = sql.lit(Array.from(start).length);
    const { rows } = await sql<{ count: number }>`
      SELECT count(*) AS count FROM (SELECT node, path, from_path FROM journal WHERE space = ${space.id} AND seq > ${after} ORDER BY seq LIMIT ${BEHIND_MAX}) j
      WHERE node <> ${sql.lit(NO_NODE)} AND (path = ${path} OR substr(path, 1, ${length}) = ${start} OR substr(from_path, 1, ${length}) = ${start})`.execute(
      db,
    );
    behind += Number(rows[0]?.count ?? 0);
  }
  return Math.min(behind, BEHIND_MAX);
}
