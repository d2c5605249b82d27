import { type Kysely, sql } from 'kysely';
import { childPath } from '../../Models/names.ts';
import type { Database } from '../database.ts';
import type { Principal } from '../metadata.ts';
import { statement } from '../statement.ts';
import type { Ids } from './sql_metadata_ids.ts';
import { folderNode, type MetadataSchema, OWNER, type Rows } from './sql_metadata_schema.ts';

/** A space as one member sees it. */
export type SpaceView = {
  readonly id: number;
  readonly root: number; // node
  readonly role: number; // the most of what was given here and what comes with an outer space
  readonly ownerId: string;
  readonly ownerName: string;
  readonly joinedSeq: number;
  readonly head: number; // of its journal, read together with the membership
  readonly isHome: boolean;
  /** Where its root is in the caller's tree. */
  readonly path: string;
};

/**
 * What the caller can reach: the home space, and the shared spaces by the path of their mount, which is in the home or in another shared space.
 * For each member exactly one mount of a space is in what they can reach (sql_metadata_members.ts sees to that). `home` is null for a user
 * who has stored nothing yet.
 */
export type View = {
  readonly userId: string;
  readonly home: SpaceView | null;
  readonly spaces: readonly SpaceView[]; // home first, then by id
  readonly byId: ReadonlyMap<number, SpaceView>;
  readonly mounts: ReadonlyMap<string, SpaceView>; // by path
};

type MountStep = { mount: number; space: number; parent: number | null; name: string };
type MountedAt = { readonly space: number; readonly path: string };

/** Where in which space of the user's the mounts are. */
async function mountPlaces(db: Rows, userId: string): Promise<Map<number, MountedAt>> {
  const { rows } = await sql<MountStep>`
    WITH RECURSIVE up (mount, space, parent, name, depth) AS (
      SELECT mount, space, parent, name, 0 FROM nodes
        WHERE space IN (SELECT space FROM members WHERE user_id = ${userId}) AND mount IS NOT NULL AND deleted_seq IS NULL
      UNION ALL SELECT up.mount, up.space, n.parent, n.name, up.depth + 1 FROM up JOIN nodes n ON n.id = up.parent)
    SELECT mount, space, parent, name FROM up ORDER BY mount, depth DESC`.execute(db);
  const places = new Map<number, MountedAt>();
  for (const { mount, space, parent, name } of rows) {
    places.set(mount, { space, path: parent === null ? '/' : childPath(places.get(mount)?.path ?? '/', name) });
  }
  return places;
}

/** The paths of spaces in the tree of a user whose home this is. */
function pathsFrom(home: number, places: ReadonlyMap<number, MountedAt>): Map<number, string> {
  const paths = new Map<number, string>([[home, '/']]);
  function pathOf(space: number): string | null {
    const known = paths.get(space);
    if (known !== undefined) return known;
    const place = places.get(space);
    const outer = place === undefined ? null : pathOf(place.space);
    if (place === undefined || outer === null) return null;
    const path = outer === '/' ? place.path : outer + place.path;
    paths.set(space, path);
    return path;
  }
  for (const space of places.keys()) pathOf(space);
  return paths;
}

const spacesOf = statement((db: Rows, { userId }: { userId: string }) =>
  db
    .selectFrom('members as m')
    .innerJoin('spaces as s', 's.id', 'm.space')
    .select(['s.id', 's.root', 'm.role', 's.head', 's.owner_id', 's.owner_name', 'm.joined_seq', 's.home_of'])
    .where('m.user_id', '=', userId)
    .where('s.deleted_at_ms', 'is', null)
    .orderBy('s.id'),
);

export async function loadView(db: Rows, userId: string): Promise<View> {
  const { rows } = await spacesOf(db, { userId });
  const homeRow = rows.find((row) => row.home_of === userId);
  if (homeRow === undefined) return { userId, home: null, spaces: [], byId: new Map(), mounts: new Map() };
  const paths = pathsFrom(homeRow.id, rows.length > 1 ? await mountPlaces(db, userId) : new Map());
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
    .values({ space: id, user_id: principal.userId, user_name: principal.userName, role: OWNER, granted: OWNER, joined_seq: 0 })
    .execute();
}

/** The home spaces of users, by user; made for those who have none. In the order of their ids, so that two transactions do not make the same homes crosswise. */
export async function homesOf(
  trx: Rows,
  users: readonly Pick<Principal, 'userId' | 'userName'>[],
  { ids, nowMs }: { ids: Ids; nowMs: number },
): Promise<Map<string, number>> {
  const names = new Map(users.map(({ userId, userName }) => [userId, userName]));
  const query = trx
    .selectFrom('spaces')
    .select(['id', 'home_of'])
    .where('home_of', 'in', [...names.keys()]);
  const read = async () => new Map((await query.execute()).map(({ id, home_of }) => [home_of as string, id]));
  if (names.size === 0) return new Map();
  const there = await read();
  if (there.size === names.size) return there;
  for (const userId of [...names.keys()].filter((id) => !there.has(id)).sort()) {
    await createHome(trx, { userId, userName: names.get(userId) as string, deviceId: '' }, ids, nowMs);
  }
  return read();
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
