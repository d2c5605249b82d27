import { setImmediate } from 'node:timers/promises';
import { AppError } from '../Models/errors.ts';
import { splitPath } from '../Models/names.ts';
import type { Operation } from '../Models/operations.ts';
import type { Database } from './database.ts';
import type { Principal } from './metadata.ts';
import { findAnchors, placesFrom } from './sql/sql_metadata_anchors.ts';
import { KIND, type MetadataSchema, type Node, type Rows } from './sql/sql_metadata_schema.ts';
import { nodeLookups, openPathBook, openTree, type Place } from './sql/sql_metadata_tree.ts';
import { loadView, type View } from './sql/sql_metadata_view.ts';

/** Files, symlinks among them, that an operation would take out of a space. */
export type Taken = { readonly space: number; readonly files: number };

/** Looks ahead at what operations would delete; nothing is locked, so it is a good guess and no promise. */
export type DeleteScope = {
  /**
   * For each operation what it would take away if those before it were done too; a file is counted once. `null` for one that takes
   * nothing away or will be refused. Operations that come behind a move or copy see names as they are before it.
   */
  taken(principal: Principal, operations: readonly Operation[]): Promise<(Taken | null)[]>;
  /** Living files of a space. Looks at each of its folders. */
  livingFiles(space: number): Promise<number>;
  /** The space that the path leads into. @throws AppError `not_found`, `path_invalid`, `name_invalid` */
  spaceAt(principal: Principal, path: string): Promise<number>;
};

export function sqlDeleteScope({ db, dialect }: Database<MetadataSchema>): DeleteScope {
  const lookups = nodeLookups(dialect);
  const livingFiles = async (space: number): Promise<number> => {
    const row = await db.selectFrom('spaces').select('root').where('id', '=', space).executeTakeFirst();
    return row === undefined ? 0 : openCount(db).below(row.root);
  };
  return {
    livingFiles,
    async taken(principal, operations) {
      const view = await loadView(db, principal.userId);
      if (view.home === null) return operations.map(() => null);
      const placeOf = placesFrom(openPathBook(view), await findAnchors(db, lookups, view, operations.flatMap(pathsOf)));
      const targets = operations.map((operation) => targetOf(operation, placeOf));
      const tree = openTree(db, lookups);
      await tree.load(targets.flatMap((target) => (target === null ? [] : [target.place])));
      const count = openCount(db);
      const taken: (Taken | null)[] = [];
      for (const target of targets)
        taken.push(target === null ? null : await takenFrom(target, { view, count, node: tree.at(target.place) }));
      return taken;
    },
    async spaceAt(principal, path) {
      const view = await loadView(db, principal.userId);
      splitPath(path);
      if (view.home !== null) {
        const place = openPathBook(view).place(path);
        const tree = openTree(db, lookups);
        await tree.load([place]);
        if (tree.at(place) !== null) return (place.top ?? place.parent)?.space.id ?? view.home.id;
      }
      throw new AppError('not_found', `nothing at ${path}`);
    },
  };
}

type Target = { readonly place: Place; readonly onlyEmpty: boolean };

function pathsOf(operation: Operation): string[] {
  if (operation.kind === 'delete') return [operation.path];
  return operation.kind === 'move' ? [operation.from, operation.to] : [];
}

/** The place that the operation would empty; `null` if it empties none, or its paths lead nowhere. */
function targetOf(operation: Operation, placeOf: (path: string) => Place): Target | null {
  try {
    if (operation.kind === 'delete') return { place: placeOf(operation.path), onlyEmpty: operation.onlyEmpty };
    if (operation.kind !== 'move') return null;
    const [from, to] = [placeOf(operation.from), placeOf(operation.to)];
    // a shared folder that goes into another one, or out of it, keeps its files
    return from.top !== null || from.parent?.space.id === to.parent?.space.id ? null : { place: from, onlyEmpty: false };
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

async function takenFrom(
  { place, onlyEmpty }: Target,
  { view, count, node }: { view: View; count: Count; node: Node | null },
): Promise<Taken | null> {
  if (place.parent === null || node === null) return null;
  if (place.top !== null) {
    // a member who deletes the mount leaves; the owner deletes the whole space
    const { id, root, ownerId } = place.top.space;
    return ownerId === view.userId ? { space: id, files: await count.below(root) } : null;
  }
  const space = place.parent.space.id;
  if (node.kind !== KIND.folder) return { space, files: count.one(node) };
  return { space, files: onlyEmpty ? 0 : await count.below(node.id) };
}

/** Embedded, a statement never gives the event loop a turn: a few milliseconds' worth of usual folders. */
const FOLDERS_PER_TURN = 64;

/** Counts files, each once, however often and through whichever folder it is reached. */
type Count = {
  one(file: Node): number;
  below(folder: number): Promise<number>;
};

function openCount(db: Rows): Count {
  const files = new Set<number>();
  const perFolder = new Map<number, number>(); // of those files, by the folder they are in
  const folders = new Set<number>(); // with all that is in them
  return {
    one(file) {
      if (files.has(file.id) || file.parent === null || folders.has(file.parent)) return 0;
      files.add(file.id);
      perFolder.set(file.parent, (perFolder.get(file.parent) ?? 0) + 1);
      return 1;
    },
    async below(folder) {
      let total = 0;
      for (let next = [folder]; next.length > 0; ) {
        const page = next.splice(0, FOLDERS_PER_TURN).filter((id) => !folders.has(id));
        if (page.length === 0) continue;
        for (const id of page) folders.add(id);
        for (const { parent, found } of await filesIn(db, page)) total += found - (perFolder.get(parent) ?? 0);
        for (const id of await foldersIn(db, page)) next.push(id);
        await setImmediate();
      }
      return total;
    },
  };
}

async function filesIn(db: Rows, folders: readonly number[]): Promise<{ parent: number; found: number }[]> {
  const rows = await db
    .selectFrom('nodes')
    .select((e) => ['parent', e.fn.countAll<number>().as('found')])
    .where('parent', 'in', folders)
    .where('kind', 'in', [KIND.file, KIND.symlink])
    .where('deleted_seq', 'is', null)
    .groupBy('parent')
    .execute();
  return rows.map(({ parent, found }) => ({ parent: parent ?? 0, found }));
}

/** Mounts are left out: what they lead to is another space. */
async function foldersIn(db: Rows, folders: readonly number[]): Promise<number[]> {
  const rows = await db
    .selectFrom('nodes')
    .select('id')
    .where('parent', 'in', folders)
    .where('kind', 'in', [KIND.folder, KIND.mount])
    .where('mount', 'is', null)
    .where('deleted_seq', 'is', null)
    .execute();
  return rows.map(({ id }) => id);
}
