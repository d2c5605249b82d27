import { type Kysely, sql } from 'kysely';
import { childPath } from '../Models/names.ts';
import type { Database } from './database.ts';
import type { Principal } from './metadata.ts';
import type { Ids } from './sql_metadata_ids.ts';
import { folderNode, type MetadataSchema, OWNER, type Rows } from './sql_metadata_schema.ts';

/** A space as one member sees it. */
export type SpaceView = {
  readonly id: number;
  readonly root: number; // node
  readonly role: number;
  readonly ownerId: string;
  readonly ownerName: string;
  readonly joinedSeq: number;
  readonly head: number; // of its journal, read together with the membership
  readonly isHome: boolean;
  /** Where its root is in the caller's tree. */
  readonly path: string;
};

/**
 * What the caller can reach: the home space, and the shared spaces by the path of their mount. A mount is always in a home space and a
 * shared space holds no mounts, so at most one mount is on any path. `home` is null for a user who has stored nothing yet.
 */
export type View = {
  readonly userId: string;
  readonly home: SpaceView | null;
  readonly spaces: readonly SpaceView[]; // home first, then by id
  readonly byId: ReadonlyMap<number, SpaceView>;
  readonly mounts: ReadonlyMap<string, SpaceView>; // by path
};

type MountStep = { mount: number; parent: number | null; name: string };

async function mountPaths(db: Rows, homeId: number): Promise<Map<number, string>> {
  const { rows } = await sql<MountStep>`
    WITH RECURSIVE up (mount, parent, name, depth) AS (
      SELECT mount, parent, name, 0 FROM nodes WHERE space = ${homeId} AND mount IS NOT NULL AND deleted_seq IS NULL
      UNION ALL SELECT up.mount, n.parent, n.name, up.depth + 1 FROM up JOIN nodes n ON n.id = up.parent)
    SELECT mount, parent, name FROM up ORDER BY mount, depth DESC`.execute(db);
  const paths = new Map<number, string>();
  for (const { mount, parent, name } of rows) paths.set(mount, parent === null ? '/' : childPath(paths.get(mount) ?? '/', name));
  return paths;
}

export async function loadView(db: Rows, userId: string): Promise<View> {
  const rows = await db
    .selectFrom('members as m')
    .innerJoin('spaces as s', 's.id', 'm.space')
    .select(['s.id', 's.root', 'm.role', 's.head', 's.owner_id', 's.owner_name', 'm.joined_seq', 's.home_of'])
    .where('m.user_id', '=', userId)
    .where('s.deleted_at_ms', 'is', null)
    .orderBy('s.id')
    .execute();
  const homeRow = rows.find((row) => row.home_of === userId);
  if (homeRow === undefined) return { userId, home: null, spaces: [], byId: new Map(), mounts: new Map() };
  const paths = rows.length > 1 ? await mountPaths(db, homeRow.id) : new Map<number, string>();
  paths.set(homeRow.id, '/');
  const spaces: SpaceView[] = [];
  for (const row of [homeRow, ...rows.filter((other) => other !== homeRow)]) {
    const path = paths.get(row.id);
    if (path === undefined) continue; // the membership of a user whose mount is not there yet cannot be named
    spaces.push({
      id: row.id,
      root: row.root,
      role: row.role,
      ownerId: row.owner_id,
      ownerName: row.owner_name,
      joinedSeq: row.joined_seq,
      head: row.head,
      isHome: row === homeRow,
      path,
    });
  }
  return {
    userId,
    home: spaces[0] ?? null,
    spaces,
    byId: new Map(spaces.map((space) => [space.id, space])),
    mounts: new Map(spaces.slice(1).map((space) => [space.path, space])),
  };
}

async function createHome(trx: Rows, principal: Principal, ids: Ids, nowMs: number): Promise<void> {
  const [id, root] = (await ids.take(trx, 2)) as [number, number];
  const made = await trx
    .insertInto('spaces')
    .values({
      id,
      root,
      head: 0,
      owner_id: principal.userId,
      owner_name: principal.userName,
      home_of: principal.userId,
      deleted_at_ms: null,
    })
    .onConflict((conflict) => conflict.column('home_of').doNothing())
    .returning('id')
    .executeTakeFirst();
  if (made === undefined) return; // another server was first
  const { mtimeUs, chunkCount, ...node } = folderNode({ id: root, space: id, parent: null, name: '', key: '' }, { nowMs });
  await trx
    .insertInto('nodes')
    .values({ ...node, mtime_us: mtimeUs, chunk_count: chunkCount, deleted_seq: null })
    .execute();
  await trx
    .insertInto('members')
    .values({ space: id, user_id: principal.userId, user_name: principal.userName, role: OWNER, joined_seq: 0 })
    .execute();
}

export type WriterView = View & { readonly home: SpaceView };

/** The view inside a write transaction; makes the caller's home space if this is the first thing they store. */
export async function viewForWriting(trx: Rows, principal: Principal, deps: { ids: Ids; nowMs: number }): Promise<WriterView> {
  let view = await loadView(trx, principal.userId);
  if (view.home === null) {
    await createHome(trx, principal, deps.ids, deps.nowMs);
    view = await loadView(trx, principal.userId);
  }
  if (view.home === null) throw new Error('a home space was made and is not there');
  return view as WriterView;
}

/**
 * Takes the row locks of spaces, always in the order of their ids, and gives their journal heads. Whoever changes a space's nodes,
 * members or mounts holds its lock, so what is read after this stays true until the commit. On SQLite the transaction is alone anyway.
 */
export async function lockSpaces(
  trx: Rows,
  dialect: Database<MetadataSchema>['dialect'],
  ids: readonly number[],
): Promise<Map<number, number>> {
  if (ids.length === 0) return new Map();
  const query = (trx as Kysely<MetadataSchema>)
    .selectFrom('spaces')
    .select(['id', 'head'])
    .where('id', 'in', [...ids])
    .orderBy('id');
  const rows = await (dialect === 'postgres' ? query.forUpdate() : query).execute();
  return new Map(rows.map(({ id, head }) => [id, head]));
}
