import { AppError } from '../../Models/errors.ts';
import { childPath, readAnchored } from '../../Models/names.ts';
import { KIND, type Rows } from './sql_metadata_schema.ts';
import type { ChainRow, Lookups, PathBook, Place } from './sql_metadata_tree.ts';
import type { View } from './sql_metadata_view.ts';

/** Where nodes are now for the caller: paths by node id. A node that is not in it is deleted, below something deleted, or a stranger's. */
export type Anchors = ReadonlyMap<number, string>;

/** The nodes that paths are anchored at; malformed paths are left for whoever reads them. */
function anchorIds(paths: Iterable<string>): Set<number> {
  const ids = new Set<number>();
  for (const path of paths) {
    if (!path.startsWith('@')) continue;
    const slash = path.indexOf('/');
    const id = Number(slash === -1 ? path.slice(1) : path.slice(1, slash));
    if (Number.isSafeInteger(id)) ids.add(id);
  }
  return ids;
}

/** Finds the nodes that these paths are anchored at, all of them together. */
export async function findAnchors(db: Rows, lookups: Lookups, view: View, paths: Iterable<string>): Promise<Anchors> {
  return reachedPaths(db, lookups, view, anchorIds(paths));
}

/**
 * The paths of nodes by the living chain up to the root of a space in the view. A mount has no identity of its own: what is mounted has,
 * and is where its mount is.
 */
export async function reachedPaths(db: Rows, lookups: Lookups, view: View, ids: Iterable<number>): Promise<Anchors> {
  const wanted = [...ids];
  if (wanted.length === 0) return new Map();
  const rows = new Map<number, ChainRow>();
  for (const row of await lookups.chains(
    db,
    wanted.map((id) => [id]),
  ))
    rows.set(row.id, row);
  const known = new Map<number, string | null>(view.spaces.map((space) => [space.root, space.path]));
  function pathOf(id: number): string | null {
    const found = known.get(id);
    if (found !== undefined) return found;
    const row = rows.get(id);
    const parent = row === undefined || row.parent === null || row.kind === KIND.mount ? null : pathOf(row.parent);
    const path = row === undefined || parent === null ? null : childPath(parent, row.name);
    known.set(id, path);
    return path;
  }
  const paths = new Map<number, string>();
  for (const id of wanted) {
    const path = pathOf(id);
    if (path !== null) paths.set(id, path);
  }
  return paths;
}

/** The path that an anchored path stands for, unchecked; `null` if its anchor cannot be reached. */
export function spelledOut(path: string, anchors: Anchors): string | null {
  const slash = path.indexOf('/');
  const start = anchors.get(Number(slash === -1 ? path.slice(1) : path.slice(1, slash)));
  if (start === undefined || slash === -1) return start ?? null;
  return start === '/' ? path.slice(slash) : start + path.slice(slash);
}

/**
 * Reads paths, anchored or not.
 * @returns a function: `null` for an anchor that cannot be reached; throws AppError `path_invalid`, `name_invalid`
 */
export function placesOrNowhereFrom(book: PathBook, anchors: Anchors): (path: string) => Place | null {
  const starts = new Map<number, NonNullable<Place['anchor']>>();
  function startOf(id: number): Place['anchor'] {
    const path = anchors.get(id);
    const start = starts.get(id) ?? (path === undefined ? null : { id, place: book.place(path) });
    if (start !== null) starts.set(id, start);
    return start;
  }
  return (path) => {
    const anchored = readAnchored(path);
    if (anchored === null) return book.place(path);
    const anchor = startOf(anchored.id);
    if (anchor === null) return null;
    if (anchored.below.length === 0) return { ...anchor.place, anchor };
    const { path: start } = anchor.place;
    return { ...book.place(`${start === '/' ? '' : start}/${anchored.below.join('/')}`), anchor };
  };
}

/** The same where such an anchor is an error. @returns a function that throws AppError `not_found` too */
export function placesFrom(book: PathBook, anchors: Anchors): (path: string) => Place {
  const placeOf = placesOrNowhereFrom(book, anchors);
  return (path) => {
    const place = placeOf(path);
    if (place === null) throw new AppError('not_found', `nothing at ${path}`);
    return place;
  };
}
