import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import type { FeedEnd, FeedNode, FeedPart } from '../../Models/tree_frames.ts';
import { statement } from '../statement.ts';
import { cameUnlisted, type Marks, openCursor, writeCursor } from './sql_metadata_cursor.ts';
import { listBelow, movedSince, type Positions } from './sql_metadata_feed_list.ts';
import { type Reading, resolve } from './sql_metadata_list.ts';
import { JOURNAL_KINDS, KIND, NO_NODE, type Rows } from './sql_metadata_schema.ts';
import { type Snapshot, takeSnapshot } from './sql_metadata_snapshot.ts';
import type { SpaceView } from './sql_metadata_view.ts';

/** Journal rows that are read together. */
const PAGE = 4096;
const MOVE = JOURNAL_KINDS.indexOf('move');
/** A folder that went into another space, came with one, or came back: the journal does not tell what is in it. */
const RENEWS: ReadonlySet<number> = new Set((['share', 'join', 'restore'] as const).map((kind) => JOURNAL_KINDS.indexOf(kind)));

export type FeedReading = Reading & { readonly epoch: string };

/** See Metadata.feed. @param reading of a view with a home, whose heads were read before everything else */
export async function* feed(reading: FeedReading, query: { root: string; cursor: string | null }): AsyncGenerator<FeedPart | FeedEnd> {
  const { store, db, view, epoch } = reading;
  const { starts, heads, rejoined } = await openCursor(reading, query.cursor, { withHeads: true });
  const [found] = await resolve(store, db, view, [query.root]);
  const root = found?.node ?? null;
  if (root === null) throw nothingAt(query.root);
  if (root.kind !== KIND.folder) throw new AppError('not_a_folder', `${query.root} is not a folder`);
  const unlisted = new Set<number>(); // of the whole answer: a node may be told again, and the last time counts
  let open = false;
  if (query.cursor === null) yield* listBelow(reading, root.id);
  else {
    const after = positionsOf(starts);
    // What was listed after the last answer was not what it was when its cursor was taken: a folder may have left it meanwhile.
    const told = changedBelow(reading, { rootId: root.id, after, rejoined, open: cameUnlisted(query.cursor), unlisted });
    let lost = false;
    for await (const part of told) {
      lost ||= part.gone.length > 0;
      yield part;
    }
    // What is gone by now takes with it, at the reader's, what left it behind the new cursor: that is to be listed where it went.
    open = unlisted.size > 0 || (lost && (await movedSince(reading, positionsOf(heads))).length > 0);
  }
  yield { cursor: writeCursor(epoch, heads, { unlisted: open }), rootId: root.id };
}

const positionsOf = (marks: Marks): Positions => new Map(Array.from(marks, ([space, { seq }]) => [space, seq]));

function nothingAt(root: string): AppError {
  return new AppError('not_found', `nothing at ${root}`);
}

/** What is known of the folder that is followed. */
type Root = {
  readonly id: number;
  readonly space: SpaceView;
  readonly path: string; // from the space's root
  readonly above: ReadonlySet<number>; // itself too
  /** It, or a folder above it in its space, changed since the cursor: paths of before may be those of other folders. */
  readonly changed: boolean;
};

function rootIn(snapshot: Snapshot, { view }: FeedReading, id: number, after: Positions): Root {
  const way = snapshot.wayUp(id);
  const space = view.byId.get(snapshot.rows.get(id)?.space ?? 0);
  if (way === null || space === undefined) throw nothingAt(`@${id}`);
  const within = way.flatMap((above) => {
    const row = snapshot.rows.get(above);
    return row !== undefined && row.space === space.id && row.parent !== null ? [row] : [];
  });
  const path = `/${within
    .map((row) => row.name)
    .reverse()
    .join('/')}`;
  const changed = within.some((row) => row.version > (after.get(space.id) ?? 0));
  return { id, space, path, above: new Set(way), changed };
}

const isWithin = (path: string | null, folder: string): boolean =>
  path !== null && (folder === '/' || path === folder || path.startsWith(`${folder}/`));

type Span = { readonly space: SpaceView; readonly after: number };

/** The spaces that can have something below the root. */
function spansOf(snapshot: Snapshot, { view }: FeedReading, root: Root, after: Positions): Span[] {
  const below = (space: SpaceView): boolean => {
    const mount = snapshot.mounts.get(space.id);
    return mount !== undefined && snapshot.wayUp(mount.id)?.includes(root.id) === true;
  };
  return view.spaces.filter((space) => space === root.space || below(space)).map((space) => ({ space, after: after.get(space.id) ?? 0 }));
}

type JournalRow = {
  readonly seq: number;
  readonly kind: number;
  readonly node: number;
  readonly path: string;
  readonly from_path: string | null;
};

/** @param kinds of rows; none: all */
const pageOf = (...kinds: readonly number[]) =>
  statement((db: Rows, { space, seq, head }: { space: number; seq: number; head: number }) => {
    const all = db
      .selectFrom('journal')
      .select(['seq', 'kind', 'node', 'path', 'from_path'])
      .where('space', '=', space)
      .where('seq', '>', seq)
      .where('seq', '<=', head)
      .where('node', '!=', NO_NODE)
      .orderBy('seq')
      .limit(PAGE);
    return kinds.length === 0 ? all : all.where('kind', 'in', kinds);
  });
const CHANGES = pageOf();
const MOVES = pageOf(MOVE);
const RENEWALS = pageOf(...RENEWS);

async function* journalPages({ db }: FeedReading, { space, after }: Span, page: typeof CHANGES): AsyncGenerator<JournalRow[]> {
  for (let seq = after; ; ) {
    const { rows } = await page(db, { space: space.id, seq, head: space.head });
    if (rows.length > 0) yield rows;
    if (rows.length < PAGE) return;
    seq = (rows.at(-1) as JournalRow).seq;
    await setImmediate();
  }
}

/** Whether anything was moved to below the root from elsewhere; only then is there a moved folder whose content was not told before. */
async function hasArrivals(reading: FeedReading, root: Root, after: Positions): Promise<boolean> {
  if (root.changed) return true;
  if (root.path === '/') return false;
  for await (const rows of journalPages(reading, { space: root.space, after: after.get(root.space.id) ?? 0 }, MOVES)) {
    if (rows.some((row) => isWithin(row.path, root.path) && !isWithin(row.from_path, root.path))) return true;
  }
  return false;
}

/** Whether the space that the root is in, or one around that, was made or joined since: what is told in the space of its mount. */
async function isRenewed(reading: FeedReading, snapshot: Snapshot, root: Root, after: Positions): Promise<boolean> {
  const around = new Set(Array.from(root.above, (id) => snapshot.rows.get(id)?.space));
  for (const space of reading.view.spaces) {
    if (space === root.space || !around.has(space.id)) continue;
    for await (const rows of journalPages(reading, { space, after: after.get(space.id) ?? 0 }, RENEWALS)) {
      if (rows.some((row) => root.above.has(row.node))) return true;
    }
  }
  return false;
}

type Following = {
  readonly rootId: number;
  readonly after: Positions;
  readonly rejoined: ReadonlySet<number>;
  /** Every folder that was moved is to be listed, wherever it came from. */
  readonly open: boolean;
  /** Grows. */
  readonly unlisted: Set<number>;
};

async function* changedBelow(reading: FeedReading, { rootId, after, rejoined, open, unlisted }: Following): AsyncGenerator<FeedPart> {
  const { db, store, view } = reading;
  const { dialect } = store.database;
  const start = await takeSnapshot(db, dialect, view, [rootId]);
  const root = rootIn(start, reading, rootId, after);
  const arrivals = await hasArrivals(reading, root, after);
  if (rejoined.has(root.space.id) || (await isRenewed(reading, start, root, after))) {
    unlisted.add(rootId);
    yield { present: [start.shown(rootId, true)], gone: [] };
  }
  for (const span of spansOf(start, reading, root, after)) {
    if (rejoined.has(span.space.id) && span.space !== root.space) {
      const top = span.space.root;
      unlisted.add(top);
      yield partOf(reading, await takeSnapshot(db, dialect, view, [rootId, top]), { rootId, named: new Map([[top, true]]), unlisted });
    }
    for await (const rows of journalPages(reading, span, CHANGES)) {
      const named = new Map<number, boolean>(); // whether it may have been below the root
      for (const { node, kind, path, from_path } of rows) {
        const near = span.space !== root.space || arrivals || isWithin(path, root.path) || isWithin(from_path, root.path);
        named.set(node, near || named.get(node) === true);
        // What is moved behind an unlisted folder may have come out of it, with content that was not told.
        const mayBeUntold = open || unlisted.size > 0 || (arrivals && span.space === root.space);
        if (RENEWS.has(kind) || (kind === MOVE && mayBeUntold)) unlisted.add(node);
      }
      yield partOf(reading, await takeSnapshot(db, dialect, view, [rootId, ...named.keys()]), { rootId, named, unlisted });
    }
  }
}

type Told = {
  readonly rootId: number;
  readonly named: ReadonlyMap<number, boolean>;
  /** Grows. */
  readonly unlisted: Set<number>;
};

function partOf({ view }: FeedReading, snapshot: Snapshot, { rootId, named, unlisted }: Told): FeedPart {
  if (snapshot.wayUp(rootId) === null) throw nothingAt(`@${rootId}`);
  const below = new Map<number, boolean>([[rootId, true]]);
  function isBelow(id: number): boolean {
    const known = below.get(id);
    if (known !== undefined) return known;
    const parent = snapshot.parentOf(id);
    const found = parent != null && isBelow(parent);
    below.set(id, found);
    return found;
  }
  const present: FeedNode[] = [];
  const gone: number[] = [];
  for (const [id, near] of named) {
    if (snapshot.rows.has(id) && isBelow(id)) present.push(snapshot.shown(id, unlisted.has(id)));
    else if (near) gone.push(id);
  }
  // What is above a node that is told may have come behind the view's heads, with folders in between that were told to nobody: without
  // all of it the node would hang in the air.
  for (const [id, row] of snapshot.rows) {
    if (row.kind !== KIND.folder || named.has(id) || !isBelow(id)) continue;
    const place = view.byId.get((row.parent === null ? snapshot.mounts.get(row.space) : row)?.space ?? row.space);
    if (place === undefined || snapshot.shown(id, false).version <= place.head) continue;
    if (id !== rootId) unlisted.add(id);
    present.push(snapshot.shown(id, unlisted.has(id)));
  }
  return { present, gone };
}
