import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { childPath, readAnchored, splitPath } from '../../Models/names.ts';
import { type Entry, type EntryKind, MODE, type Role } from '../../Models/operations.ts';
import { type BulkQuery, bulkQuery } from '../bulk.ts';
import { runSql } from '../database.ts';
import type { FolderPage, ListedEntry, Manifest } from '../metadata.ts';
import type { Dialect } from '../migrate.ts';
import { findAnchors, placesOrNowhereFrom } from './sql_metadata_anchors.ts';
import type { Store } from './sql_metadata_batch.ts';
import { ENTRY_KINDS, KIND, NODE_COLUMNS, type Node, ROLES, type Rows } from './sql_metadata_schema.ts';
import { type Lookups, openPathBook, openTree, type Place } from './sql_metadata_tree.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

/** A page of a listing and one statement's result have at most so many rows. */
const PAGE = 4096;
/** Folders read by one statement. */
const FOLDERS = 64;

function sharedOf(space: SpaceView): { role: Role; owner: string } | null {
  return space.isHome ? null : { role: ROLES[space.role] as Role, owner: space.ownerName };
}

function listedEntry(node: Node): ListedEntry {
  return {
    name: node.name,
    kind: ENTRY_KINDS[node.kind] as EntryKind,
    nodeId: node.id,
    size: node.size,
    mtimeUs: node.mtimeUs,
    version: node.version,
    digest: node.digest,
    mode: node.mode,
    chunkCount: node.chunkCount,
    target: node.target,
    shared: null,
  };
}

/** The top of a mounted space, under the name it has for the caller. */
function topEntry(space: SpaceView, name: string, root: Node): ListedEntry {
  return { ...listedEntry(root), name, shared: sharedOf(space) };
}

/** What is at a path; `null` for a mount of a space that is not there any more. */
export async function entryAt(
  { lookups, db, view }: { readonly lookups: Lookups; readonly db: Rows; readonly view: View },
  node: Node,
  path: string,
): Promise<Entry | null> {
  if (node.mount === null) return { path, ...listedEntry(node) };
  const space = view.byId.get(node.mount);
  const [root] = space === undefined ? [] : await lookups.byId(db, [[space.root]]);
  return space === undefined || root === undefined ? null : { path, ...topEntry(space, node.name, root) };
}

type Resolved = { readonly path: string; readonly place: Place | null; readonly node: Node | null };

/** Places of paths, with what is there. `place` is null for what is anchored at a node that is nowhere. */
export async function resolve(store: Pick<Store, 'lookups'>, db: Rows, view: View, paths: readonly string[]): Promise<Resolved[]> {
  const { lookups } = store;
  const placeOf = placesOrNowhereFrom(openPathBook(view), await findAnchors(db, lookups, view, paths));
  const places = paths.map(placeOf);
  const there = places.filter((place) => place !== null);
  const starts = new Set(there.flatMap(({ anchor }) => anchor?.place ?? []));
  const tree = openTree(db, lookups);
  await tree.load([...there, ...starts]);
  return places.map((place, i) => {
    const path = place?.path ?? (paths[i] as string);
    return { path, place, node: place !== null && tree.holdsAnchor(place) ? tree.at(place) : null };
  });
}

/** Of a user who has stored nothing yet there is only the root. @throws AppError `path_invalid`, `name_invalid` */
function isEmptyRoot(path: string): boolean {
  return readAnchored(path) === null && splitPath(path).length === 0;
}

/** What a user who has not stored anything yet sees at `/`. */
function emptyHome(path: string): Entry {
  const nothing = { size: 0, mtimeUs: 0, version: 0, digest: null, mode: MODE.folder, chunkCount: 0, target: null, shared: null };
  return { path, name: '', kind: 'folder', nodeId: 0, ...nothing };
}

export async function stat(store: Store, db: Rows, view: View, paths: readonly string[]): Promise<(Entry | null)[]> {
  if (view.home === null) return paths.map((path) => (isEmptyRoot(path) ? emptyHome(path) : null));
  const found = await resolve(store, db, view, paths);
  return found.map(({ place, node }) => {
    if (node === null || place === null) return null;
    const listed = place.top === null ? listedEntry(node) : topEntry(place.top.space, place.name, node);
    return { path: place.path, ...listed };
  });
}

type StoredManifest = { chunks: Manifest['chunks'] };

export function decodeManifest(bytes: Buffer): Manifest['chunks'] {
  const chunks: { digest: Buffer; length: number }[] = [];
  for (let at = 0; at < bytes.length; at += 36) chunks.push({ digest: bytes.subarray(at, at + 32), length: bytes.readUInt32BE(at + 32) });
  return chunks;
}

function shortManifest(node: Node): StoredManifest {
  return { chunks: node.chunkCount === 0 ? [] : [{ digest: node.digest as Buffer, length: node.size }] };
}

export async function manifests(store: Store, db: Rows, view: View, paths: readonly string[]): Promise<(Manifest | null)[]> {
  if (view.home === null) {
    for (const path of paths) isEmptyRoot(path);
    return paths.map(() => null);
  }
  const found = await resolve(store, db, view, paths);
  const several = found.flatMap(({ node }) => (node?.kind === KIND.file && node.chunkCount > 1 ? [[node.space, node.version]] : []));
  const rows = await store.manifests(db, several);
  const byVersion = new Map(rows.map((row) => [`${row.space}:${row.version}`, row.manifest]));
  return found.map(({ path, node }) => {
    if (node?.kind !== KIND.file) return null;
    const bytes = byVersion.get(`${node.space}:${node.version}`);
    if (bytes === undefined && node.chunkCount > 1) throw new AppError('corrupt', 'a manifest is missing');
    const { chunks } = bytes === undefined ? shortManifest(node) : { chunks: decodeManifest(bytes) };
    return { path, version: node.version, size: node.size, digest: node.digest as Buffer, chunks };
  });
}

export async function olderChunks(store: Store, db: Rows, view: View, at: { path: string; version: number }): Promise<Manifest['chunks']> {
  if (view.home === null) return [];
  const [found] = await resolve(store, db, view, [at.path]);
  const node = found?.node ?? null;
  if (node?.kind !== KIND.file) return [];
  const row = await db
    .selectFrom('journal')
    .select(['size', 'digest', 'manifest'])
    .where('thinned_at_ms', 'is', null)
    .where('space', '=', node.space)
    .where('seq', '=', at.version)
    .where('node', '=', node.id)
    .executeTakeFirst();
  if (row === undefined || row.digest === null) return [];
  if (row.manifest !== null) return decodeManifest(row.manifest);
  return row.size === 0 ? [] : [{ digest: row.digest, length: row.size }];
}

export type ListStatements = {
  /** Children of several folders at once, at most PAGE + 1 rows of them. */
  readonly children: BulkQuery<Node>;
  readonly childrenBehind: string;
  readonly folders: BulkQuery<FolderRow>;
  readonly foldersBehind: string;
};
type FolderRow = { readonly id: number; readonly parent: number; readonly name: string; readonly mount: number | null };

export function listStatements(dialect: Dialect): ListStatements {
  const mark = (n: number): string => (dialect === 'sqlite' ? '?' : `$${n}`);
  const children = `SELECT ${NODE_COLUMNS} FROM nodes n WHERE n.deleted_seq IS NULL AND n.parent`;
  const folders = 'SELECT n.id, n.parent, n.name, n.mount FROM nodes n WHERE n.kind IN (1, 3) AND n.deleted_seq IS NULL AND n.parent';
  return {
    children: bulkQuery<Node>(
      dialect,
      { parent: 'int8' },
      `${children} IN (SELECT parent FROM v) ORDER BY n.parent, n.key LIMIT ${PAGE + 1}`,
    ),
    childrenBehind: `${children} = ${mark(1)} AND n.key > ${mark(2)} ORDER BY n.key LIMIT ${PAGE}`,
    folders: bulkQuery<FolderRow>(
      dialect,
      { parent: 'int8' },
      `${folders} IN (SELECT parent FROM v) ORDER BY n.parent, n.id LIMIT ${PAGE + 1}`,
    ),
    foldersBehind: `${folders} = ${mark(1)} AND n.id > ${mark(2)} ORDER BY n.id LIMIT ${PAGE}`,
  };
}

type Group<Row> = { readonly folder: number; readonly rows: readonly Row[]; readonly last: boolean };

/** Rows of folders in the order asked, in pages. Small folders come many per statement, large ones page by page. */
async function* grouped<Row extends { parent: number | null }>(
  folders: readonly number[],
  read: { together(folders: readonly number[]): Promise<Row[]>; behind(folder: number, after: Row | null): Promise<Row[]> },
): AsyncGenerator<Group<Row>> {
  for (let at = 0; at < folders.length; at += FOLDERS) {
    const some = folders.slice(at, at + FOLDERS);
    const rows = await read.together([...new Set(some)]); // two paths can lead to one folder
    if (rows.length <= PAGE) {
      const byFolder = Map.groupBy(rows, (row) => row.parent as number);
      for (const folder of some) yield { folder, rows: byFolder.get(folder) ?? [], last: true };
    } else {
      for (const folder of some) yield* paged(folder, read.behind);
    }
    await setImmediate(); // embedded, a statement gives the event loop no turn
  }
}

async function* paged<Row>(folder: number, behind: (folder: number, after: Row | null) => Promise<Row[]>): AsyncGenerator<Group<Row>> {
  for (let after: Row | null = null; ; ) {
    const rows: Row[] = await behind(folder, after);
    yield { folder, rows, last: rows.length < PAGE };
    if (rows.length < PAGE) return;
    after = rows.at(-1) as Row;
    await setImmediate();
  }
}

/** The children of these folders, folder after folder. */
export function childrenOf({ lists, db }: Pick<Reading, 'lists' | 'db'>, folders: readonly number[]): AsyncGenerator<Group<Node>> {
  return grouped<Node>(folders, {
    together: (some) =>
      lists.children(
        db,
        some.map((id) => [id]),
      ),
    behind: (folder, after) => runSql<Node>(db, lists.childrenBehind, [folder, after?.key ?? '']),
  });
}

/** Entries of one folder's rows, mounts shown as what they lead to. */
async function entriesOf(store: Pick<Store, 'lookups'>, db: Rows, view: View, nodes: readonly Node[]): Promise<ListedEntry[]> {
  const mounts = view.mounts.size === 0 ? [] : nodes.filter((node) => node.mount !== null && view.byId.has(node.mount));
  if (mounts.length === 0) return nodes.filter((node) => node.mount === null).map(listedEntry);
  const roots = new Map(
    (
      await store.lookups.byId(
        db,
        mounts.map((node) => [view.byId.get(node.mount as number)?.root as number]),
      )
    ).map((root) => [root.space, root]),
  );
  const entries: ListedEntry[] = [];
  for (const node of nodes) {
    if (node.mount === null) entries.push(listedEntry(node));
    const space = node.mount === null ? undefined : view.byId.get(node.mount);
    const root = space && roots.get(space.id);
    if (space !== undefined && root !== undefined) entries.push(topEntry(space, node.name, root));
  }
  return entries;
}

export type Reading = {
  readonly store: Pick<Store, 'lookups' | 'database'>;
  readonly lists: ListStatements;
  readonly db: Rows;
  readonly view: View;
};

export async function* readFolders({ store, lists, db, view }: Reading, paths: readonly string[]): AsyncGenerator<FolderPage> {
  if (view.home === null) {
    for (const path of paths) yield { path: isEmptyRoot(path) ? '/' : path, entries: [], last: true };
    return;
  }
  const found = await resolve(store, db, view, paths);
  const there = found.flatMap(({ node }) => (node?.kind === KIND.folder ? [node.id] : []));
  const groups = childrenOf({ lists, db }, there);
  for (const { path, node } of found) {
    if (node?.kind !== KIND.folder) {
      yield { path, entries: [], last: true };
      continue;
    }
    for (let last = false; !last; ) {
      const { value, done } = await groups.next();
      if (done) return;
      last = value.last;
      yield { path, entries: await entriesOf(store, db, view, value.rows), last };
    }
  }
}

export type FolderAt = { readonly id: number; readonly path: string };

/** All folders below a path, itself first, each before what is in it, mounted spaces included. @throws AppError `not_found`, `not_a_folder` */
export async function* walk({ store, lists, db, view }: Reading, path: string): AsyncGenerator<FolderAt[]> {
  if (view.home === null) {
    if (splitPath(path).length > 0) throw new AppError('not_found', `nothing at ${path}`);
    yield [{ id: 0, path: '/' }];
    return;
  }
  splitPath(path);
  const [top] = await resolve(store, db, view, [path]);
  if (top?.node?.kind !== KIND.folder) {
    throw top?.node == null ? new AppError('not_found', `nothing at ${path}`) : new AppError('not_a_folder', `${path} is not a folder`);
  }
  let level: FolderAt[] = [{ id: top.node.id, path: top.path }];
  yield level;
  while (level.length > 0) {
    const paths = new Map(level.map((folder) => [folder.id, folder.path]));
    const next: FolderAt[] = [];
    const groups = grouped<FolderRow>([...paths.keys()], {
      together: (folders) =>
        lists.folders(
          db,
          folders.map((id) => [id]),
        ),
      behind: (folder, after) => runSql<FolderRow>(db, lists.foldersBehind, [folder, after?.id ?? 0]),
    });
    let page: FolderAt[] = [];
    for await (const { folder, rows } of groups) {
      for (const row of rows) {
        const id = row.mount === null ? row.id : view.byId.get(row.mount)?.root;
        if (id !== undefined) page.push({ id, path: childPath(paths.get(folder) as string, row.name) });
      }
      if (page.length < PAGE) continue;
      yield page;
      for (const each of page) next.push(each);
      page = [];
    }
    if (page.length > 0) yield page;
    for (const each of page) next.push(each);
    level = next;
  }
}
