import { AppError } from '../../Models/errors.ts';
import type { FeedNode, FeedPart } from '../../Models/tree_frames.ts';
import { statement } from '../statement.ts';
import { childrenOf, type Reading } from './sql_metadata_list.ts';
import { JOURNAL_KINDS, type Node, type Rows } from './sql_metadata_schema.ts';
import { feedNode, type Snapshot, takeSnapshot } from './sql_metadata_snapshot.ts';

/** Journal numbers by space. */
export type Positions = Map<number, number>;

/** How often folders that were moved meanwhile are listed again. */
const ROUNDS = 16;
const MOVE = JOURNAL_KINDS.indexOf('move');

/**
 * A folder and all below it, parents first. What changes meanwhile is told by the journal from the view's heads on, but for what is in a
 * folder that is moved from where was not looked yet to where was: such folders are listed at the end.
 */
export async function* listBelow(reading: Reading, rootId: number): AsyncGenerator<FeedPart> {
  const { db, store, view } = reading;
  const { dialect } = store.database;
  const top = await takeSnapshot(db, dialect, view, [rootId]);
  if (top.wayUp(rootId) === null) throw new AppError('not_found', `nothing at @${rootId}`);
  yield { present: [top.shown(rootId, false)], gone: [] };
  const seen: Positions = new Map(view.spaces.map((space) => [space.id, space.head]));
  let folders = [rootId];
  for (let round = 0; folders.length > 0; round += 1) {
    if (round === ROUNDS) throw new AppError('busy', 'folders are moved faster than they can be listed');
    yield* levelsBelow(reading, folders);
    const moved = await movedSince(reading, seen);
    if (moved.length === 0) return;
    const now = await takeSnapshot(db, dialect, view, moved);
    folders = moved.filter((id) => now.wayUp(id)?.includes(rootId) === true);
    if (folders.length > 0) yield { present: wayDown(now, rootId, folders), gone: [] };
  }
}

/** These folders and those that they are in, from the root on. */
function wayDown(snapshot: Snapshot, rootId: number, folders: readonly number[]): FeedNode[] {
  const ids = new Set<number>();
  for (const folder of folders) {
    const way = snapshot.wayUp(folder) ?? [];
    for (const id of way.slice(0, way.indexOf(rootId)).reverse()) ids.add(id);
  }
  return [...ids].map((id) => snapshot.shown(id, false));
}

async function* levelsBelow(reading: Reading, folders: readonly number[]): AsyncGenerator<FeedPart> {
  for (let level = folders; level.length > 0; ) {
    const next = new Set<number>(); // one that is moved meanwhile can be met twice
    for await (const { rows } of childrenOf(reading, level)) {
      if (rows.length === 0) continue;
      const present = await shownRows(reading, rows);
      for (const { kind, nodeId } of present) if (kind === 'folder') next.add(nodeId);
      yield { present, gone: [] };
    }
    level = [...next];
  }
}

/** Rows of a folder, mounts shown as what they lead to. */
async function shownRows({ store, db, view }: Reading, rows: readonly Node[]): Promise<FeedNode[]> {
  const mounts = rows.filter((row) => row.mount !== null);
  const ids = mounts.flatMap((row) => view.byId.get(row.mount as number)?.root ?? []);
  const found =
    ids.length === 0
      ? []
      : await store.lookups.byId(
          db,
          ids.map((id) => [id]),
        );
  const roots = new Map(found.map((root) => [root.space, root]));
  return rows.flatMap((row) => {
    if (row.mount === null) return [feedNode(row, row, false)];
    const root = roots.get(row.mount);
    return root === undefined ? [] : [feedNode(root, row, false)];
  });
}

const foldersMoved = statement((db: Rows, { space, after }: { space: number; after: number }) =>
  db
    .selectFrom('journal')
    .select(['seq', 'node'])
    .where('space', '=', space)
    .where('seq', '>', after)
    .where('kind', '=', MOVE)
    .where('digest', 'is', null)
    .orderBy('seq'),
);

/** Folders that were moved behind these positions, which are moved on. */
export async function movedSince({ db, view }: Reading, seen: Positions): Promise<number[]> {
  const moved = new Set<number>();
  for (const { id } of view.spaces) {
    const { rows } = await foldersMoved(db, { space: id, after: seen.get(id) as number });
    for (const { seq, node } of rows) {
      moved.add(node);
      seen.set(id, seq);
    }
  }
  return [...moved];
}
