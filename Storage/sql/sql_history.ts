import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import type { BackPlan, BackRequest, Deed, History, HistoryPage, HistoryQuery, Version } from '../history.ts';
import { createKeptPlans } from '../kept_plans.ts';
import type { ChangeKind, Manifest, Principal } from '../metadata.ts';
import { checkSame, goBack } from './sql_history_back.ts';
import { type Place, setPin, thin } from './sql_history_keep.ts';
import { makePlan } from './sql_history_plan.ts';
import {
  actOf,
  type Found,
  findEver,
  type HistoryReading,
  isTold,
  JOURNAL_COLUMNS,
  type JournalRow,
  kindOfRow,
  nothingAt,
  pageLimit,
  readPosition,
  rowAt,
  rowsBack,
} from './sql_history_rows.ts';
import { trash, undelete } from './sql_history_trash.ts';
import type { Store } from './sql_metadata_batch.ts';
import { asSeen } from './sql_metadata_changes.ts';
import { decodeManifest } from './sql_metadata_list.ts';
import { JOURNAL_KINDS, KIND } from './sql_metadata_schema.ts';
import { loadView, type SpaceView } from './sql_metadata_view.ts';

/** Rows of one node read together. */
const PAGE = 256;

/** @param epoch of the metadata port: positions are its cursors */
export function sqlHistory(store: Store, epoch: string): History {
  const { db } = store.database;
  const reading = async ({ userId }: Principal): Promise<HistoryReading> => ({ store, db, view: await loadView(db, userId) });
  const pinnable = async (principal: Principal, path: string, version: number): Promise<Place> => {
    const at = await reading(principal);
    await versionAt(at, path, version); // what is not told of cannot be pinned
    const { node } = await findEver(at, path);
    const row = await versionRow(at, node.id, version);
    if (row === undefined) throw nothingAt(path);
    return row;
  };
  const plans = createKeptPlans();
  const preview = async (at: HistoryReading, request: BackRequest): Promise<BackPlan> => {
    const { shown } = await makePlan({ ...at, epoch }, request);
    plans.keep(at.view, request, shown);
    return shown;
  };
  return {
    versions: async (principal, query) => versions(await reading(principal), query),
    version: async (principal, path, version) => versionAt(await reading(principal), path, version),
    deeds: async (principal, query) => deeds(await reading(principal), query),
    trash: async (principal, query) => trash(await reading(principal), query),
    undelete: (principal, what, to) => undelete(store, principal, { what, to }),
    pin: async (principal, path, version) => setPin(await reading(principal), principal, await pinnable(principal, path, version), true),
    unpin: async (principal, path, version) => setPin(await reading(principal), principal, await pinnable(principal, path, version), false),
    thin: (policy) => thin(store, policy),
    preview: async (principal, request) => preview(await reading(principal), request),
    previewed: async (principal, request, digest) => {
      const at = await reading(principal);
      const plan = plans.find(at.view, request, digest) ?? (await preview(at, request));
      checkSame(plan.digest, digest);
      return plan;
    },
    goBack: (principal, request, digest) => goBack({ store, epoch, principal }, request, digest),
  };
}

/** All rows of a node from the newest on, or behind a position that a page ended with. @throws AppError `cursor_invalid` */
async function* rowsOf(reading: HistoryReading, { node }: Found, after: string | null): AsyncGenerator<JournalRow> {
  const [space = node.space, seq = node.version] = readPosition(after, 2) ?? [];
  let start = { space, seq };
  if (after !== null) {
    const row = await rowAt(reading.db, start);
    if (row?.node !== node.id || !isTold(reading.view, row)) throw new AppError('cursor_invalid', 'not a position of this listing');
  }
  for (let skip = after === null ? 0 : 1; ; skip = 1) {
    const rows = await rowsBack(reading, start, PAGE);
    yield* rows.slice(skip);
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    start = last;
  }
}

const positionOf = ({ space, seq }: JournalRow): string => `${space}.${seq}`;

/** The space whose journal the row is in, as the reader sees it. */
function spaceOf({ view }: HistoryReading, row: JournalRow): SpaceView {
  const space = view.byId.get(row.space);
  if (space === undefined) throw new Error('a row of a space that the reader does not have');
  return space;
}

const sameContent = (a: JournalRow, b: JournalRow): boolean =>
  a.target === b.target && a.size === b.size && b.digest?.equals(a.digest ?? b.digest) === true;

/** Of rows in a run with the same content the oldest that is still kept: a move or another time made no new version. */
async function* contents(rows: AsyncIterable<JournalRow>): AsyncGenerator<JournalRow> {
  let run: JournalRow | null = null;
  for await (const row of rows) {
    const goesOn: boolean = run !== null && row.digest !== null && sameContent(run, row);
    if (run !== null && !goesOn) {
      yield run;
      run = null;
    }
    if (row.digest !== null && row.thinned_at_ms === null) run = row;
  }
  if (run !== null) yield run;
}

async function pinned({ db }: HistoryReading, rows: readonly JournalRow[]): Promise<ReadonlySet<string>> {
  if (rows.length === 0) return new Set();
  const spaces = [...new Set(rows.map(({ space }) => space))];
  const seqs = rows.map(({ seq }) => seq);
  const pins = await db.selectFrom('pins').select(['space', 'seq']).where('space', 'in', spaces).where('seq', 'in', seqs).execute();
  return new Set(pins.map(({ space, seq }) => `${space}.${seq}`));
}

async function versions(reading: HistoryReading, query: HistoryQuery): Promise<HistoryPage<Version>> {
  const found = await findEver(reading, query.path);
  if (found.node.kind !== KIND.file && found.node.kind !== KIND.symlink) throw new AppError('not_a_file', `${query.path} is a folder`);
  const limit = pageLimit(query.limit);
  const shown: JournalRow[] = [];
  for await (const row of contents(rowsOf(reading, found, query.after))) {
    shown.push(row);
    if (shown.length > limit) break;
  }
  const page = shown.slice(0, limit);
  const pins = await pinned(reading, page);
  const last = page.at(-1);
  return {
    rows: page.map((row, i) =>
      versionOf(row, namesIn(reading, row, query.path).path, {
        pinned: pins.has(positionOf(row)),
        current: i === 0 && query.after === null && found.taken === null,
      }),
    ),
    next: shown.length > limit && last !== undefined ? positionOf(last) : null,
  };
}

/** Under which names it was. Of a row from before the reader joined only what it is about now: what it was called then is not theirs to know. */
function namesIn(reading: HistoryReading, row: JournalRow, now: string): { path: string; fromPath: string | null } {
  if (!isTold(reading.view, row)) return { path: now, fromPath: null };
  const space = spaceOf(reading, row);
  return { path: asSeen(space, row.path), fromPath: row.from_path === null ? null : asSeen(space, row.from_path) };
}

function versionOf(row: JournalRow, path: string, marks: Pick<Version, 'pinned' | 'current'>): Version {
  if (row.digest === null) throw new Error('a version has content');
  return {
    ...actOf(row),
    version: row.seq,
    kind: kindOfRow(row),
    path,
    size: row.size,
    mtimeUs: row.mtime_us,
    mode: row.mode,
    digest: row.digest,
    target: row.target,
    ...marks,
  };
}

async function versionAt(reading: HistoryReading, path: string, version: number): Promise<Version & Pick<Manifest, 'chunks'>> {
  const { db, view } = reading;
  const { node, taken } = await findEver(reading, path);
  if (node.kind !== KIND.file && node.kind !== KIND.symlink) throw new AppError('not_a_file', `${path} is a folder`);
  const isCurrent = taken === null && node.version === version;
  const row = await versionRow(reading, node.id, version);
  if (row === undefined || !(isCurrent || isTold(view, row)) || row.digest === null || row.thinned_at_ms !== null) {
    throw new AppError('not_found', `${path} has no version ${version}, or no longer`);
  }
  const stored = await db
    .selectFrom('journal')
    .select('manifest')
    .where('space', '=', row.space)
    .where('seq', '=', row.seq)
    .executeTakeFirst();
  const short = row.chunk_count === 0 ? [] : [{ digest: row.digest, length: row.size }];
  const chunks = stored?.manifest == null ? short : decodeManifest(stored.manifest);
  const pins = await pinned(reading, [row]);
  return { ...versionOf(row, namesIn(reading, row, path).path, { pinned: pins.size > 0, current: isCurrent }), chunks };
}

/** The node's row of this number, in the space it is in or one that it came from. */
async function versionRow({ db, view }: HistoryReading, node: number, version: number): Promise<JournalRow | undefined> {
  if (!Number.isSafeInteger(version)) return undefined;
  const spaces = sql.join(view.spaces.map((space) => sql.lit(space.id)));
  const { rows } = await sql<JournalRow>`SELECT ${sql.raw(JOURNAL_COLUMNS)} FROM journal j JOIN commits c ON c.id = j.commit_id
    WHERE j.space IN (${spaces}) AND j.seq = ${version} AND j.node = ${node}`.execute(db);
  return rows[0];
}

async function deeds(reading: HistoryReading, query: HistoryQuery): Promise<HistoryPage<Deed>> {
  const found = await findEver(reading, query.path);
  const limit = pageLimit(query.limit);
  const rows: JournalRow[] = [];
  const { node, taken } = found;
  if (query.after === null && taken !== null && taken.id !== node.id) {
    const deletion = await rowAt(reading.db, { space: taken.space, seq: taken.deletedSeq });
    if (deletion === undefined) throw nothingAt(query.path);
    rows.push(deletion);
  }
  for await (const row of rowsOf(reading, found, query.after)) {
    rows.push(row);
    if (rows.length > limit) break;
  }
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    rows: page.map((row) => ({
      ...actOf(row),
      version: row.seq,
      kind: JOURNAL_KINDS[row.kind] as ChangeKind,
      ...namesIn(reading, row, query.path),
    })),
    next: rows.length > limit && last !== undefined && last.node === node.id ? positionOf(last) : null,
  };
}
