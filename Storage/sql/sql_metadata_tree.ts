import { AppError } from '../../Models/errors.ts';
import { checkName, foldName, splitPath } from '../../Models/names.ts';
import { type BulkQuery, bulkQuery } from '../bulk.ts';
import type { Dialect } from '../migrate.ts';
import { NODE_COLUMNS, type Node, type Rows } from './sql_metadata_schema.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

/** A folder by its path, whether it is there or not. One object per path in a PathBook, so a thousand files of a folder share it. */
export type FolderRef = {
  readonly space: SpaceView;
  readonly parent: FolderRef | null; // null for a space's root
  readonly name: string;
  readonly key: string;
  readonly path: string; // from the space's root
  readonly depth: number; // 0 for a space's root
};

/** What a path means to the caller. `top` is set when it is the top of a space; `parent` and `name` are then where the mount is. */
export type Place = {
  readonly path: string; // as the caller names it, without a trailing slash
  readonly parent: FolderRef | null; // null for the caller's root
  readonly name: string;
  readonly key: string;
  readonly top: FolderRef | null;
  /** The node that the path began at, and where that is. */
  readonly anchor: { readonly id: number; readonly place: Place } | null;
};

export type PathBook = {
  /** @throws AppError `path_invalid`, `name_invalid`; anchored paths too are refused: see sql_metadata_anchors.ts */
  place(path: string): Place;
  /** How many folders the paths asked for name: no more can be missing. */
  folderCount(): number;
};

/** Reads paths in the light of one view. The view must have a home. */
export function openPathBook(view: View): PathBook {
  const folders = new Map<string, FolderRef>();
  const topOf = (space: SpaceView): FolderRef => ({ space, parent: null, name: '', key: '', path: '/', depth: 0 });
  for (const space of view.spaces) folders.set(space.path, topOf(space));

  function folder(path: string): FolderRef {
    const known = folders.get(path);
    if (known !== undefined) return known;
    const cut = path.lastIndexOf('/');
    const parent = folder(cut === 0 ? '/' : path.slice(0, cut));
    const name = path.slice(cut + 1);
    const own = parent.path === '/' ? `/${name}` : `${parent.path}/${name}`;
    const made: FolderRef = { space: parent.space, parent, name, key: foldName(name), path: own, depth: parent.depth + 1 };
    folders.set(path, made);
    return made;
  }

  function checkedFolder(path: string): FolderRef {
    const known = folders.get(path);
    if (known !== undefined) return known;
    splitPath(path);
    return folder(path);
  }

  return {
    folderCount: () => folders.size,
    place(given) {
      const path = given.length > 1 && given.endsWith('/') ? given.slice(0, -1) : given;
      if (path === '/') return { path, parent: null, name: '', key: '', top: folder('/'), anchor: null };
      const cut = path.lastIndexOf('/');
      const above = cut > 0 ? path.slice(0, cut) : '/';
      // The whole path is checked once per folder; for one more name in a known folder the name and the length are enough.
      if (!path.startsWith('/') || path.length > 1024 || !folders.has(above) || (folders.get(above)?.depth ?? 0) > 100) splitPath(path);
      const name = checkName(path.slice(cut + 1));
      const mounted = view.mounts.get(path);
      const top = mounted === undefined ? null : folder(path);
      return { path, parent: checkedFolder(above), name, key: foldName(name), top, anchor: null };
    },
  };
}

export type Lookups = {
  readonly children: BulkQuery<Node>;
  readonly byId: BulkQuery<Node>;
  readonly chains: BulkQuery<ChainRow>;
  readonly childCounts: BulkQuery<{ id: number; count: number }>;
};
/** A living node on the way up from one that was asked for. */
export type ChainRow = { readonly id: number; readonly parent: number | null; readonly name: string; readonly kind: number };

export function nodeLookups(dialect: Dialect): Lookups {
  return {
    children: bulkQuery<Node>(
      dialect,
      { parent: 'int8', key: 'text' },
      `SELECT ${NODE_COLUMNS} FROM v CROSS JOIN nodes n WHERE n.parent = v.parent AND n.key = v.key AND n.deleted_seq IS NULL`,
    ),
    byId: bulkQuery<Node>(
      dialect,
      { id: 'int8' },
      `SELECT ${NODE_COLUMNS} FROM v CROSS JOIN nodes n WHERE n.id = v.id AND n.deleted_seq IS NULL`,
    ),
    chains: bulkQuery<ChainRow>(
      dialect,
      { id: 'int8' },
      `SELECT * FROM (WITH RECURSIVE up (id, parent, name, kind) AS (
         SELECT n.id, n.parent, n.name, n.kind FROM v CROSS JOIN nodes n WHERE n.id = v.id AND n.deleted_seq IS NULL
         UNION SELECT n.id, n.parent, n.name, n.kind FROM up CROSS JOIN nodes n WHERE n.id = up.parent AND n.deleted_seq IS NULL)
       SELECT * FROM up) AS chain`,
    ),
    childCounts: bulkQuery<{ id: number; count: number }>(
      dialect,
      { id: 'int8' },
      'SELECT v.id, (SELECT count(*) FROM nodes n WHERE n.parent = v.id AND n.deleted_seq IS NULL) AS count FROM v',
    ),
  };
}

/** Nodes by parent and key, read in bulk ahead of use and changed by the operations of a batch. */
export type Tree = {
  /** Reads what `node` and `at` will be asked about these places. */
  load(places: readonly Place[]): Promise<void>;
  /** Reads how many children these folders have. What was changed must be flushed before. */
  countChildren(folders: readonly Node[]): Promise<void>;
  /** Of a folder that was counted, or made since. */
  isEmpty(folder: Node): boolean;
  /** The node of a folder path if everything on the way is there under exactly these names. @throws AppError see `way` */
  folder(ref: FolderRef, way: Way): Node | null;
  /** The living child with this key, whatever its exact name. */
  child(parent: Node, key: string): Node | null;
  /** What is at a place under exactly this name; for the top of a space its root. Null if nothing, or if the way there does not exist. */
  at(place: Place): Node | null;
  /** An anchored path still leads to the node it began at; any other one always does. */
  holdsAnchor(place: Place): boolean;
  root(space: SpaceView): Node;
  put(parent: Node, key: string, node: Node | null): void;
  /** A folder made just now has no children to look for. */
  addFresh(folder: Node): void;
};

/** `seek`: an obstacle means that nothing is there. `make`: it is refused as `not_a_folder` or `name_collides`. */
export type Way = 'seek' | 'make';

export function openTree(db: Rows, lookups: Lookups): Tree {
  const children = new Map<number, Map<string, Node | null>>();
  const roots = new Map<number, Node>();
  const fresh = new Set<number>();
  const counts = new Map<number, number>();

  function put(parent: number, key: string, node: Node | null): void {
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, new Map([[key, node]]));
    else siblings.set(key, node);
  }

  function change(parent: number, key: string, node: Node | null): void {
    const count = counts.get(parent);
    if (count !== undefined) counts.set(parent, count + Number(node !== null) - Number(children.get(parent)?.get(key) != null));
    put(parent, key, node);
  }

  function childOf(parent: number, key: string): Node | null | undefined {
    const known = children.get(parent)?.get(key);
    return known === undefined && fresh.has(parent) ? null : known;
  }

  async function loadRoots(refs: Iterable<FolderRef>): Promise<void> {
    const missing = new Set<number>();
    for (const ref of refs) if (!roots.has(ref.space.root)) missing.add(ref.space.root);
    for (const node of await lookups.byId(
      db,
      [...missing].map((id) => [id]),
    ))
      roots.set(node.id, node);
  }

  async function loadChildren(wanted: readonly { parent: FolderRef; key: string }[]): Promise<void> {
    const missing: [number, string][] = [];
    for (const { parent, key } of wanted) {
      const node = folder(parent, 'seek');
      if (node === null || childOf(node.id, key) !== undefined) continue;
      put(node.id, key, null);
      missing.push([node.id, key]);
    }
    for (const node of await lookups.children(db, missing)) put(node.parent as number, node.key, node);
  }

  function folder(ref: FolderRef, way: Way): Node | null {
    if (ref.parent === null) return root(ref.space);
    const parent = folder(ref.parent, way);
    if (parent === null) return null;
    const node = childOf(parent.id, ref.key);
    if (node === undefined) throw new Error(`not loaded: ${ref.path}`);
    if (node === null) return null;
    if (node.name !== ref.name) return refuse(way, 'name_collides', `"${ref.name}" exists here under the name "${node.name}"`);
    return node.kind === 1 ? node : refuse(way, 'not_a_folder', `${ref.path} is not a folder`);
  }

  function root(space: SpaceView): Node {
    const node = roots.get(space.root);
    if (node === undefined) throw new Error(`root of space ${space.id} is not loaded`);
    return node;
  }

  function child(parent: Node, key: string): Node | null {
    const node = childOf(parent.id, key);
    if (node === undefined) throw new Error('a child was asked for that is not loaded');
    return node;
  }

  function at(place: Place): Node | null {
    if (place.top !== null) return root(place.top.space);
    const parent = folder(place.parent as FolderRef, 'seek');
    const node = parent === null ? null : child(parent, place.key);
    return node !== null && node.name === place.name ? node : null;
  }

  return {
    async load(places) {
      const byDepth: Set<FolderRef>[] = [];
      const tops = new Set<FolderRef>();
      for (const { parent, top } of places) {
        if (top !== null) tops.add(top);
        for (let ref = parent; ref !== null && !byDepth[ref.depth]?.has(ref); ref = ref.parent) {
          byDepth[ref.depth] ??= new Set();
          (byDepth[ref.depth] as Set<FolderRef>).add(ref);
          if (ref.parent === null) tops.add(ref);
        }
      }
      await loadRoots(tops);
      for (let depth = 1; depth < byDepth.length; depth += 1) {
        await loadChildren([...(byDepth[depth] ?? [])].map((ref) => ({ parent: ref.parent as FolderRef, key: ref.key })));
      }
      await loadChildren(places.filter((place) => place.parent !== null) as { parent: FolderRef; key: string }[]);
    },
    folder,
    root,
    child,
    async countChildren(folders) {
      const ids = new Set(folders.map((node) => node.id));
      const rows = await lookups.childCounts(
        db,
        [...ids].map((id) => [id]),
      );
      for (const { id, count } of rows) counts.set(id, count);
    },
    isEmpty(node) {
      const count = counts.get(node.id);
      if (count === undefined) throw new Error('a folder was asked for that is not counted');
      return count === 0;
    },
    at,
    holdsAnchor: ({ anchor }) => anchor === null || at(anchor.place)?.id === anchor.id,
    put: (parent, key, node) => change(parent.id, key, node),
    addFresh(node) {
      fresh.add(node.id);
      counts.set(node.id, 0);
    },
  };
}

function refuse(way: Way, code: 'name_collides' | 'not_a_folder', message: string): null {
  if (way === 'seek') return null;
  throw new AppError(code, message);
}
