import { type RawBuilder, sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { foldName, writeAnchored } from '../../Models/names.ts';
import type { EntryKind } from '../../Models/operations.ts';
import type { HistoryPage, HistoryQuery, TrashItem } from '../history.ts';
import type { Principal } from '../metadata.ts';
import {
  type ActRow,
  actOf,
  type Found,
  findEver,
  type HistoryReading,
  nothingAt,
  pageLimit,
  readPosition,
  rowAt,
  toldFrom,
} from './sql_history_rows.ts';
import { findAnchors, placesFrom } from './sql_metadata_anchors.ts';
import { type Batch, pathInSpace, requireEditor, type Store } from './sql_metadata_batch.ts';
import { asSeen } from './sql_metadata_changes.ts';
import { openBatch } from './sql_metadata_commit.ts';
import { copySubtree } from './sql_metadata_copy.ts';
import { checkReach } from './sql_metadata_move.ts';
import { ENTRY_KINDS, KIND, type Node } from './sql_metadata_schema.ts';
import { openPathBook, type Place } from './sql_metadata_tree.ts';
import { loadView, type SpaceView } from './sql_metadata_view.ts';

type GoneRow = ActRow & {
  readonly id: number;
  readonly kind: number;
  readonly size: number;
  readonly deleted_seq: number;
  readonly path: string;
};
type Scope = { readonly space: SpaceView; readonly below: Below | null };
/** A path, and what is or was last there: what was deleted in it before it was moved there is found by that. */
type Below = { readonly path: string; readonly node: number | null };

/** The spaces at or below a path, with the folder in them that is asked about. */
async function scopesOf(reading: HistoryReading, path: string): Promise<Scope[]> {
  const { view } = reading;
  const place = openPathBook(view).place(path);
  const at = place.top ?? place.parent;
  if (at === null) return [];
  const below = place.top === null ? { path: pathInSpace(place), node: await idEver(reading, path) } : null;
  const inside = view.spaces.filter((space) => space !== at.space && space.path.startsWith(place.path === '/' ? '/' : `${place.path}/`));
  return [{ space: at.space, below }, ...inside.map((space) => ({ space, below: null }))];
}

async function idEver(reading: HistoryReading, path: string): Promise<number | null> {
  try {
    return (await findEver(reading, path)).node.id;
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null;
    throw error;
  }
}

/** Folders there are and folders that are gone stand in an index each, so each is asked for as its index has it. */
function within({ path, node }: Below): RawBuilder<unknown> {
  const byPath = sql`j.path = ${path} OR substr(j.path, 1, ${Array.from(path).length + 1}) = ${`${path}/`}`;
  if (node === null) return sql`AND (${byPath})`;
  return sql`AND (${byPath} OR n.parent IN (
    WITH RECURSIVE folders (id) AS (
      SELECT n.id FROM nodes n WHERE n.id = ${node}
      UNION ALL SELECT n.id FROM folders f CROSS JOIN nodes n WHERE n.kind = 1
        AND ((n.parent = f.id AND n.kind IN (1, 3) AND n.deleted_seq IS NULL) OR (n.parent = f.id AND n.deleted_seq IS NOT NULL)))
    SELECT id FROM folders))`;
}

export async function trash(reading: HistoryReading, query: HistoryQuery): Promise<HistoryPage<TrashItem>> {
  const { db, view } = reading;
  const position = readPosition(query.after, 2);
  const scopes = view.home === null ? [] : await scopesOf(reading, query.path);
  const limit = pageLimit(query.limit);
  const items: { item: TrashItem; position: string }[] = [];
  const first = position === null ? 0 : scopes.findIndex(({ space }) => space.id === position[0]);
  if (first === -1) throw new AppError('cursor_invalid', 'not a position of this listing');
  for (const [i, { space, below }] of scopes.slice(first).entries()) {
    const before = i === 0 && position !== null ? (position[1] as number) : Number.MAX_SAFE_INTEGER;
    // Of mounts only a shared folder that its owner deleted: who has left one comes back by an invitation.
    const { rows } = await sql<GoneRow>`
      SELECT n.id, n.kind, n.size, n.deleted_seq, j.path, c.id AS commit_id, c.stream, c.user_name, c.device, c.at_ms, c.reason
      FROM nodes n JOIN journal j ON j.space = n.space AND j.seq = n.deleted_seq JOIN commits c ON c.id = j.commit_id
      LEFT JOIN spaces s ON s.id = n.mount
      WHERE n.space = ${space.id} AND n.deleted_seq IS NOT NULL AND n.deleted_seq < ${before} AND n.deleted_seq >= ${toldFrom(view, space)}
        AND (n.mount IS NULL OR (s.owner_id = ${view.userId} AND s.deleted_at_ms IS NOT NULL)) ${below === null ? sql`` : within(below)}
      ORDER BY n.deleted_seq DESC LIMIT ${sql.lit(limit + 1 - items.length)}`.execute(db);
    for (const row of rows) items.push({ item: itemOf(space, row), position: `${space.id}.${row.deleted_seq}` });
    if (items.length > limit) break;
  }
  const page = items.slice(0, limit);
  return { rows: page.map(({ item }) => item), next: items.length > limit ? (page.at(-1)?.position ?? null) : null };
}

function itemOf(space: SpaceView, row: GoneRow): TrashItem {
  const kind = ENTRY_KINDS[row.kind] as EntryKind;
  return { ...actOf(row), nodeId: row.id, path: asSeen(space, row.path), kind, size: row.size };
}

type Wanted = { readonly what: string; readonly to: string | null };

/** See History.undelete. */
export async function undelete(store: Store, principal: Principal, { what, to }: Wanted): Promise<{ path: string; version: number }> {
  const view = await loadView(store.database.db, principal.userId);
  const { node: known } = await findEver({ store, db: store.database.db, view }, what);
  await store.ids.reserve(64);
  return store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [] });
    await batch.ledger.lock([known.space, ...(known.mount === null ? [] : [known.mount]), ...batch.view.spaces.map(({ id }) => id)]);
    const found = await findEver({ store, db: trx, view: batch.view }, what);
    if (found.taken === null) throw new AppError('already_exists', `${what} is not deleted`);
    const place = await placeFor(batch, found, to);
    const back = found.node.mount === null ? await bringBack(batch, found, place) : await bringSpaceBack(batch, found.node, place);
    await batch.finish();
    return { path: place.path, version: back.version };
  });
}

/** Where it goes: free, in a folder that is there. */
async function placeFor(batch: Batch, { node, taken }: Found, to: string | null): Promise<Place> {
  if (to === null && taken?.id !== node.id)
    throw new AppError('not_found', 'the folder it was in is deleted: bring that back, or say where to');
  const path = to ?? writeAnchored(node.parent ?? 0, node.name);
  const anchors = await findAnchors(batch.trx, batch.store.lookups, batch.view, [path]);
  if (to === null && anchors.size === 0) throw new AppError('not_found', 'the folder it was in is gone: say where to');
  const place = placesFrom(openPathBook(batch.view), anchors)(path);
  await batch.tree.load([place]);
  if (place.parent === null) throw new AppError('already_exists', 'the root folder is there');
  const folder = batch.tree.folder(place.parent, 'make');
  if (folder === null) throw new AppError('not_found', `there is no folder for ${place.path}`);
  requireEditor(place.parent.space);
  const existing = batch.tree.child(folder, place.key);
  if (existing !== null && existing.name !== place.name) {
    throw new AppError('name_collides', `"${place.name}" exists here under the name "${existing.name}"`);
  }
  if (existing !== null) throw new AppError('already_exists', `${place.path} exists: say where to`);
  return place;
}

async function bringBack(batch: Batch, { node, taken }: Found, place: Place): Promise<Node> {
  const folder = placeFolder(batch, place);
  await checkReach(batch, node, { path: '/' }, place);
  // The row of a deletion has no content: that of the row before is what was deleted.
  const deletion = taken?.id === node.id ? await rowAt(batch.trx, { space: node.space, seq: node.version }) : undefined;
  const source: Node = { ...node, version: deletion?.prev ?? node.version };
  if (folder.space !== node.space) return copySubtree(batch, { source, folder, place, op: 0 });
  const [stored] = source.chunkCount > 1 ? await batch.store.manifests(batch.trx, [[source.space, source.version]]) : [];
  if (source.chunkCount > 1 && stored === undefined) throw new AppError('corrupt', 'a manifest is missing');
  const back: Node = { ...node, parent: folder.id, name: place.name, key: place.key };
  const fromPath = deletion?.path;
  const manifest = stored?.manifest ?? null;
  back.version = batch.ledger.record(back.space, {
    kind: 'restore',
    node: back,
    path: pathInSpace(place),
    ...(fromPath === undefined ? {} : { fromPath }),
    manifest,
  });
  batch.ledger.update(back);
  return back;
}

/** A shared folder that its owner deleted: who else was in it is invited anew. */
async function bringSpaceBack(batch: Batch, mount: Node, place: Place): Promise<Node> {
  const { trx, ledger, principal, store } = batch;
  const folder = placeFolder(batch, place);
  const space = await trx
    .selectFrom('spaces')
    .select(['id', 'root'])
    .where('id', '=', mount.mount)
    .where('owner_id', '=', principal.userId)
    .where('deleted_at_ms', 'is not', null)
    .executeTakeFirst();
  if (space === undefined) throw nothingAt(writeAnchored(mount.id));
  if (folder.space !== batch.view.home.id) throw new AppError('forbidden', 'a shared folder cannot go into another shared folder');
  await trx.updateTable('spaces').set({ deleted_at_ms: null }).where('id', '=', space.id).execute();
  store.touchedBy(trx).spaces.add(space.id);
  // one that was deleted in a shared folder comes back at home
  const version = mount.space === folder.space ? mount.version : 0;
  const own = { space: folder.space, parent: folder.id, name: place.name, key: foldName(place.name), version };
  const back: Node = { ...mount, ...own, kind: KIND.mount };
  back.version = ledger.record(back.space, {
    kind: 'share',
    node: { ...back, id: space.root, kind: KIND.folder },
    path: pathInSpace(place),
  });
  ledger.update(back);
  return back;
}

function placeFolder(batch: Batch, place: Place): Node {
  const folder = place.parent === null ? null : batch.tree.folder(place.parent, 'seek');
  if (folder === null) throw nothingAt(place.path);
  return folder;
}
