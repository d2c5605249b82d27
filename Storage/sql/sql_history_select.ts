import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { BackRequest } from '../history.ts';
import { type HistoryReading, nothingAt } from './sql_history_rows.ts';
import { openCursor } from './sql_metadata_cursor.ts';
import { resolve } from './sql_metadata_list.ts';
import { EDITOR, JOURNAL_KINDS, KIND, type MetadataSchema, NO_NODE, type Node } from './sql_metadata_schema.ts';
import type { SpaceView } from './sql_metadata_view.ts';

/** Rows of the journal read together. */
const PAGE = 4096;

/** What is to be taken back of one node: its last rows, as long as they are of what was asked about. */
export type Track = {
  /** The row that it should be as again; null: as before it was there. */
  before: number | null;
  /** The first of its last rows. */
  since: number;
  /** Where the rows of the journal begin that were asked about up to that one, without others between: before that row all was as it was. */
  from: number;
  /** The same for the first row that was asked about. */
  readonly first: number | null;
  /** The last row that was not asked about and came behind one that was. */
  lost: { readonly seq: number } | null;
  isOpen: boolean; // the last row was asked about
  path: string; // of the last row
};

export type Selection = {
  readonly space: SpaceView;
  readonly tracks: ReadonlyMap<number, Track>;
  /** Only what is below this folder, or was behind this row of the journal; null: all of them. */
  readonly within: Within | null;
  /** Rows of the journal up to this one were looked at. */
  readonly seen: number;
};
type Within = {
  readonly folder: Node;
  readonly position: number;
  /** Paths below this one tell what is in the folder; null: they do not, and all rows were taken. */
  readonly narrow: string | null;
};

export type BackReading = HistoryReading & { readonly epoch: string };

/** Finds the rows that a request asks about. @param known what was found before: the rows that it has seen need not be read again */
export function select(reading: BackReading, request: BackRequest, known: readonly Selection[] = []): Promise<Selection[]> {
  return request.kind === 'rewind' ? selectFolder(reading, request, known[0]) : selectCommits(reading, request);
}

const RELOCATES: readonly number[] = (['move', 'restore'] as const).map((kind) => JOURNAL_KINDS.indexOf(kind));

async function selectFolder(
  reading: BackReading,
  request: BackRequest & { kind: 'rewind' },
  known: Selection | undefined,
): Promise<Selection[]> {
  const { store, db, view } = reading;
  if (view.home === null) throw nothingAt(request.path);
  const [found] = await resolve(store, db, view, [request.path]);
  if (found?.node == null || found.place === null) throw nothingAt(request.path);
  const { node: folder, place } = found;
  if (folder.kind !== KIND.folder) throw new AppError('not_a_folder', `${request.path} is not a folder`);
  const space = view.byId.get(folder.space);
  if (space === undefined) throw nothingAt(request.path);
  if (space.role < EDITOR) throw new AppError('forbidden', 'you may read this shared folder, not change it');
  const position = await positionOf(reading, space, request.to);
  if (position < Math.max(1, space.joinedSeq)) throw new AppError('not_found', 'that is before the beginning');
  const above = place.top === null ? place.path.slice(space.path === '/' ? 0 : space.path.length) : '/';
  const isWithin = (path: string | null): boolean => path !== null && (above === '/' || path === above || path.startsWith(`${above}/`));
  const isSame = known?.space.id === space.id && known.within?.folder.id === folder.id && known.within.position === position;
  const border = { space, folder, isWithin };
  let before = isSame ? known : undefined;
  const mayBeNarrow = above !== '/' && (before === undefined || before.within?.narrow === above);
  const isNarrow = mayBeNarrow && (await staysInside(reading, { ...border, after: before?.seen ?? position }));
  if (!isNarrow && before?.within?.narrow !== null) before = undefined; // it was narrow, and left rows out
  const tracks = new Map(Array.from(before?.tracks ?? [], ([id, track]) => [id, { ...track }]));
  let seen = before?.seen ?? position;
  for await (const rows of journalPages(reading, space, { after: seen })) {
    for (const row of rows) {
      if (!isNarrow || isWithin(row.path) || isWithin(row.from_path)) note(tracks, row, position + 1);
      seen = row.seq;
    }
  }
  return [{ space, tracks, within: { folder, position, narrow: isNarrow ? above : null }, seen }];
}

/** The last journal number before or at a time, or that of a cursor. */
async function positionOf(reading: BackReading, space: SpaceView, to: (BackRequest & { kind: 'rewind' })['to']): Promise<number> {
  if ('cursor' in to) {
    const { starts } = await openCursor(reading, to.cursor, { withHeads: false });
    return starts.get(space.id)?.seq ?? 0;
  }
  const { db } = reading;
  const later = await db
    .selectFrom('commits')
    .select((e) => e.fn.min<number | null>('first_seq').as('first'))
    .where('space', '=', space.id)
    .where('at_ms', '>', to.timeMs)
    .executeTakeFirst();
  return later?.first == null ? space.head : later.first - 1;
}

type Border = { space: SpaceView; after: number; folder: Node; isWithin: (path: string | null) => boolean };

/** Neither the folder nor what is above it was moved since, and nothing went over its border: then paths of then tell what was below it. */
async function staysInside(reading: BackReading, { space, after, folder, isWithin }: Border): Promise<boolean> {
  const { db, store } = reading;
  const chain = new Set((await store.lookups.chains(db, [[folder.id]])).map(({ id }) => id));
  for await (const rows of journalPages(reading, space, { after, kinds: RELOCATES })) {
    for (const row of rows) if (chain.has(row.node) || isWithin(row.path) !== isWithin(row.from_path)) return false;
  }
  return true;
}

type Row = Pick<MetadataSchema['journal'], 'seq' | 'node' | 'prev' | 'path' | 'from_path' | 'commit_id'>;

type Span = { readonly after: number; readonly upTo?: number; readonly kinds?: readonly number[] };

async function* journalPages({ db }: HistoryReading, space: SpaceView, { after, upTo, kinds }: Span): AsyncGenerator<Row[]> {
  for (let seq = after; ; ) {
    let query = db
      .selectFrom('journal')
      .select(['seq', 'node', 'prev', 'path', 'from_path', 'commit_id'])
      .where('space', '=', space.id)
      .where('seq', '>', seq)
      .orderBy('seq')
      .limit(PAGE);
    if (kinds !== undefined) query = query.where('kind', 'in', kinds);
    if (upTo !== undefined) query = query.where('seq', '<=', upTo);
    const rows = await query.execute();
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    seq = last.seq;
    await setImmediate();
  }
}

/** @param from null: the row is not asked about; else see Track */
function note(tracks: Map<number, Track>, { seq, node, prev, path }: Row, from: number | null): void {
  if (node === NO_NODE) return;
  const known = tracks.get(node);
  if (known === undefined) {
    if (from === null) return;
    if (tracks.size >= LIMITS.backNodesMax) {
      throw new AppError(
        'too_large',
        `more than ${LIMITS.backNodesMax} files and folders changed since: take a smaller folder, or a later time`,
      );
    }
    tracks.set(node, { before: prev, since: seq, from, first: prev, lost: null, isOpen: true, path });
    return;
  }
  known.path = path;
  if (from === null) Object.assign(known, { isOpen: false, lost: { seq } });
  else if (!known.isOpen) Object.assign(known, { isOpen: true, before: prev, since: seq, from });
}

async function selectCommits(reading: BackReading, request: BackRequest & { kind: 'undo' }): Promise<Selection[]> {
  const selections: Selection[] = [];
  for (const space of reading.view.spaces) {
    const commits = await commitsAsked(reading, space, request);
    if (commits.size === 0) continue;
    const rowsOf = [...commits.values()];
    const [after, upTo] = [Math.min(...rowsOf.map(({ first_seq }) => first_seq)) - 1, Math.max(...rowsOf.map(({ last_seq }) => last_seq))];
    const tracks = new Map<number, Track>();
    let from: number | null = null;
    for await (const rows of journalPages(reading, space, { after: Math.max(after, space.joinedSeq), upTo })) {
      for (const row of rows) {
        from = commits.has(row.commit_id) ? (from ?? row.seq) : null;
        note(tracks, row, from);
      }
    }
    if (tracks.size > 0) selections.push({ space, tracks, within: null, seen: upTo });
  }
  if (selections.length === 0 && 'operation' in request) throw new AppError('not_found', 'no such operation');
  return selections;
}

type CommitRows = Pick<MetadataSchema['commits'], 'first_seq' | 'last_seq'>;

/** Commits that were asked about, with the first and last row of each. What was done to go back is not what the device did. */
async function commitsAsked(
  { db }: HistoryReading,
  space: SpaceView,
  request: BackRequest & { kind: 'undo' },
): Promise<Map<number, CommitRows>> {
  let query = db
    .selectFrom('commits')
    .select(['id', 'first_seq', 'last_seq'])
    .where('space', '=', space.id)
    .where('last_seq', '>', space.joinedSeq);
  if (!('operation' in request)) {
    const { user, device, sinceMs } = request;
    query = query.where('at_ms', '>', sinceMs).where('user_name', '=', user).where('device', '=', device).where('reason', 'is', null);
  } else if (/^[0-9a-f]{32}$/.test(request.operation)) query = query.where('stream', '=', Buffer.from(request.operation, 'hex'));
  else query = query.where('id', '=', operationNumber(request.operation)).where('stream', 'is', null);
  const rows = await query.limit(LIMITS.backNodesMax + 1).execute();
  if (rows.length > LIMITS.backNodesMax) throw new AppError('too_large', 'too much was done since: take a later time');
  return new Map(rows.map((row) => [row.id, row]));
}

function operationNumber(text: string): number {
  const number = Number(text);
  if (!/^[1-9][0-9]{0,15}$/.test(text) || !Number.isSafeInteger(number)) throw new AppError('not_found', 'no such operation');
  return number;
}
