import { writeAnchored } from '../../Models/names.ts';
import { bulkQuery } from '../bulk.ts';
import type { Database } from '../database.ts';
import { findAnchors, placesFrom } from './sql_metadata_anchors.ts';
import { type MetadataSchema, type Node, OWNER, type Rows } from './sql_metadata_schema.ts';
import { type Lookups, openPathBook, openTree } from './sql_metadata_tree.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

export type LinkRow = MetadataSchema['links'];

/** What a link leads to, as one user sees it now. */
export type Reached = { readonly node: Node; readonly space: SpaceView; readonly path: string; readonly name: string };

/** By node: what is not in it this user cannot reach. */
export async function reach(db: Rows, lookups: Lookups, view: View, rows: readonly Pick<LinkRow, 'node'>[]): Promise<Map<number, Reached>> {
  const reached = new Map<number, Reached>();
  if (view.home === null || rows.length === 0) return reached;
  const paths = [...new Set(rows.map((row) => row.node))].map((id) => [id, writeAnchored(id)] as const);
  const anchors = await findAnchors(
    db,
    lookups,
    view,
    paths.map(([, path]) => path),
  );
  const placeOf = placesFrom(openPathBook(view), anchors);
  const places = paths.flatMap(([id, path]) => (anchors.has(id) ? [[id, placeOf(path)] as const] : []));
  const tree = openTree(db, lookups);
  await tree.load(places.map(([, place]) => place));
  for (const [id, place] of places) {
    const node = tree.at(place);
    const space = (place.top ?? place.parent)?.space;
    if (node?.id === id && space !== undefined) reached.set(id, { node, space, path: place.path, name: place.name });
  }
  return reached;
}

/** Which links show something of the shared spaces that a user owns. */
export type Concern = {
  readonly owned: ReadonlyMap<number, SpaceView>; // by space: links to its nodes
  /** Folders of other spaces and homes that a mount of an owned space is in, with that space. */
  readonly above: ReadonlyMap<number, SpaceView>;
};

export async function concernsOf(db: Rows, lookups: Lookups, view: View): Promise<Concern> {
  const owned = new Map(view.spaces.filter((space) => !space.isHome && space.role === OWNER).map((space) => [space.id, space]));
  const above = new Map<number, SpaceView>();
  let inner = new Map(owned);
  const visited = new Set(owned.keys());
  while (inner.size > 0) {
    const outer = new Map<number, SpaceView>();
    for (const [id, shown] of await mountsOf(db, inner)) {
      for (const folder of await lookups.chains(db, [[id]])) {
        above.set(folder.id, shown);
        if (folder.parent === null) for (const space of await spacesAt(db, folder.id)) if (!visited.has(space)) outer.set(space, shown);
      }
    }
    for (const space of outer.keys()) visited.add(space);
    inner = outer;
  }
  return { owned, above };
}

async function mountsOf(db: Rows, spaces: ReadonlyMap<number, SpaceView>): Promise<(readonly [number, SpaceView])[]> {
  const rows = await db
    .selectFrom('nodes')
    .select(['id', 'mount'])
    .where('mount', 'in', [...spaces.keys()])
    .where('deleted_seq', 'is', null)
    .execute();
  return rows.flatMap(({ id, mount }) => {
    const shown = spaces.get(mount ?? 0);
    return shown === undefined ? [] : [[id, shown] as const];
  });
}

/** The shared space whose root this is: what is mounted in it is shown wherever it is mounted itself. */
async function spacesAt(db: Rows, root: number): Promise<number[]> {
  const rows = await db.selectFrom('spaces').select('id').where('root', '=', root).where('home_of', 'is', null).execute();
  return rows.map(({ id }) => id);
}

/** The user's own links and those of concern, each once. */
export async function rowsOf({ db, dialect }: Database<MetadataSchema>, userId: string, { owned, above }: Concern): Promise<LinkRow[]> {
  const rows = new Map<string, LinkRow>();
  const add = (found: readonly LinkRow[]): void => {
    for (const row of found) rows.set(row.id, row);
  };
  add(await db.selectFrom('links').selectAll().where('maker_id', '=', userId).execute());
  if (owned.size === 0) return [...rows.values()];
  const inOwned = db.selectFrom('links as l').innerJoin('nodes as n', 'n.id', 'l.node').selectAll('l');
  add(await inOwned.where('n.space', 'in', [...owned.keys()]).execute());
  const at = bulkQuery<LinkRow>(dialect, { node: 'int8' }, 'SELECT l.* FROM v CROSS JOIN links l WHERE l.node = v.node');
  add(
    await at(
      db,
      Array.from(above.keys(), (node) => [node]),
    ),
  );
  return [...rows.values()];
}
