import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { foldName } from '../../Models/names.ts';
import type { EntryKind } from '../../Models/operations.ts';
import { bulkQuery } from '../bulk.ts';
import { findWay, type Known, type Step, type Want } from '../going_back.ts';
import type { BackConflict, BackPlan, BackRequest, BackStep } from '../history.ts';
import type { Dialect } from '../migrate.ts';
import { actOf, kindOfRow, rowAt } from './sql_history_rows.ts';
import { type BackReading, type Selection, select, type Track } from './sql_history_select.ts';
import { asSeen } from './sql_metadata_changes.ts';
import { EDITOR, ENTRY_KINDS, JOURNAL_KINDS, KIND, type MetadataSchema, NODE_COLUMNS, type Node } from './sql_metadata_schema.ts';
import type { SpaceView, View } from './sql_metadata_view.ts';

/** A node, deleted or not. */
export type AnyNode = Node & { readonly deletedSeq: number | null };
/** The row of the journal that a node should be as again. */
export type Earlier = Pick<
  MetadataSchema['journal'],
  'seq' | 'kind' | 'node' | 'path' | 'parent' | 'size' | 'mtime_us' | 'digest' | 'mode' | 'target' | 'thinned_at_ms'
> & { readonly chunk_count: number };

/** The steps in one space, with what is needed to take them. */
export type SpacePlan = {
  readonly space: SpaceView;
  readonly steps: readonly Step[];
  readonly nodes: ReadonlyMap<number, AnyNode>;
  readonly earlier: ReadonlyMap<number, Earlier>;
};
export type MadePlan = {
  readonly selections: readonly Selection[];
  readonly spaces: readonly SpacePlan[];
  readonly shown: BackPlan;
};

const DELETE = JOURNAL_KINDS.indexOf('delete');

function statements(dialect: Dialect) {
  return {
    nodes: bulkQuery<AnyNode>(
      dialect,
      { id: 'int8' },
      `SELECT ${NODE_COLUMNS}, n.deleted_seq AS "deletedSeq" FROM v CROSS JOIN nodes n WHERE n.id = v.id`,
    ),
    childrenOf: bulkQuery<Node>(
      dialect,
      { parent: 'int8' },
      `SELECT ${NODE_COLUMNS} FROM v CROSS JOIN nodes n WHERE n.parent = v.parent AND n.deleted_seq IS NULL`,
    ),
    earlier: bulkQuery<Earlier>(
      dialect,
      { space: 'int8', seq: 'int8' },
      `SELECT j.seq, j.kind, j.node, j.path, j.parent, j.size, j.mtime_us, j.digest, j.mode, j.target, j.thinned_at_ms,
         CASE WHEN j.manifest IS NOT NULL THEN octet_length(j.manifest) / 36 WHEN j.target IS NULL AND j.size > 0 THEN 1 ELSE 0 END AS chunk_count
       FROM v CROSS JOIN journal j WHERE j.space = v.space AND j.seq = v.seq`,
    ),
  };
}

/** What going back would do now. @param known of an earlier plan, so that it takes less time */
export async function makePlan(reading: BackReading, request: BackRequest, known?: readonly Selection[]): Promise<MadePlan> {
  const spaces: SpacePlan[] = [];
  const conflicts: BackConflict[] = [];
  const selections = await select(reading, request, known);
  for (const selection of selections) {
    const { plan, blocked } = await planSpace(reading, selection);
    spaces.push(plan);
    conflicts.push(...blocked);
  }
  return { selections, spaces, shown: shownPlan(spaces, conflicts) };
}

type Loaded = { readonly nodes: Map<number, AnyNode>; readonly earlier: Map<number, Earlier> };

async function planSpace(reading: BackReading, selection: Selection): Promise<{ plan: SpacePlan; blocked: BackConflict[] }> {
  const { space, tracks } = selection;
  const seen = (path: string): string => asSeen(space, path === '' ? '/' : path);
  const conflict = (path: string, reason: BackConflict['reason'], by: BackConflict['by'] = null): BackConflict => ({
    path: seen(path),
    reason,
    by,
  });
  const loaded = await load(reading, selection);
  closeChanged(selection, loaded);
  const blocked: BackConflict[] = [];
  const wants: Want[] = [];
  const scope = scopeOf(selection, loaded);
  for (const [id, track] of tracks) {
    if (!scope.isAsked(id)) continue;
    const node = loaded.nodes.get(id);
    if (node === undefined || node.space !== space.id) {
      blocked.push(conflict(track.path, 'shared'));
      continue;
    }
    if (space.role < EDITOR) {
      blocked.push(conflict(track.path, 'forbidden'));
      continue;
    }
    if (track.lost !== null && !isAlready(node, loaded.earlier.get(track.first ?? 0))) {
      const row = await rowAt(reading.db, { space: space.id, seq: track.lost.seq });
      const path = track.isOpen || row === undefined ? track.path : row.path;
      blocked.push(conflict(path, 'changed_since', row === undefined ? null : actOf(row)));
    }
    if (!track.isOpen) continue;
    const { want, reason } = wantOf(scope, node, track);
    if (want !== null) wants.push(await wholeIfUntouched(reading, selection, want, track));
    if (reason !== null) blocked.push(conflict(track.path, reason));
  }
  const known = await knownFor(reading, loaded, wants);
  const way = findWay(known, wants);
  for (const { path, reason } of way.blocked) blocked.push(conflict(path, reason));
  const earlier = new Map<number, Earlier>();
  for (const { id } of way.steps) {
    const row = loaded.earlier.get(tracks.get(id)?.before ?? 0);
    if (row !== undefined) earlier.set(id, row);
  }
  return { plan: { space, steps: way.steps, nodes: loaded.nodes, earlier }, blocked };
}

/** The nodes as they are and as they were, and all folders above them, then and now. */
async function load({ store, db }: BackReading, { space, tracks, within }: Selection): Promise<Loaded> {
  const ask = statements(store.database.dialect);
  const seqs = new Set<number>();
  for (const { before, first } of tracks.values()) for (const seq of [before, first]) if (seq !== null) seqs.add(seq);
  const earlier = new Map<number, Earlier>();
  const rows = await ask.earlier(
    db,
    Array.from(seqs, (seq) => [space.id, seq]),
  );
  for (const row of rows) earlier.set(row.seq, row);
  const nodes = new Map<number, AnyNode>();
  let missing = new Set([...tracks.keys(), ...(within === null ? [] : [within.folder.id])]);
  for (const { parent } of rows) if (parent !== null) missing.add(parent);
  while (missing.size > 0) {
    const found = await ask.nodes(
      db,
      Array.from(missing, (id) => [id]),
    );
    missing = new Set();
    for (const node of found) nodes.set(node.id, node);
    for (const { parent } of found) if (parent !== null && !nodes.has(parent)) missing.add(parent);
  }
  return { nodes, earlier };
}

/** For an undo no row behind the last that is asked about was read: what has one was changed since. */
function closeChanged({ space, tracks, within, seen }: Selection, { nodes }: Loaded): void {
  if (within !== null) return;
  for (const [id, track] of tracks) {
    const node = nodes.get(id);
    if (node?.space === space.id && node.version > seen) Object.assign(track, { isOpen: false, lost: { seq: node.version } });
  }
}

/** What a node was in; `top`: nothing, as the root of the space; `unknown`: rows of an older version do not say it. */
type Above = number | 'top' | 'gone' | 'unknown';

const aboveNow = ({ nodes }: Loaded, id: number): Above => {
  const node = nodes.get(id);
  return node === undefined ? 'unknown' : (node.parent ?? 'top');
};

/** What it was in just before a row of the journal. */
function aboveBefore({ tracks, space }: Selection, loaded: Loaded, id: number, seq: number): Above {
  const track = tracks.get(id);
  if (id === space.root) return 'top'; // a space always had its root
  if (track === undefined) {
    const { deletedSeq = null } = loaded.nodes.get(id) ?? {};
    return deletedSeq === null || deletedSeq >= seq ? aboveNow(loaded, id) : 'gone';
  }
  if (track.since < seq) return aboveNow(loaded, id); // it was changed by then
  if (track.before === null) return 'gone';
  const row = loaded.earlier.get(track.before);
  return row?.kind === DELETE ? 'gone' : (row?.parent ?? 'unknown');
}

/** Whether it was in the trash just before a row of the journal, or in something that was; not if that is not known. */
function wasGone(selection: Selection, loaded: Loaded, id: number, seq: number): boolean {
  const met = new Set<number>();
  let at: Above = id;
  for (; typeof at === 'number' && !met.has(at); at = aboveBefore(selection, loaded, at, seq)) met.add(at);
  return at === 'gone';
}

type Where = 'in' | 'out' | 'unknown';
type Scope = {
  readonly loaded: Loaded;
  readonly folder: Node | null;
  /** It is in the folder, was, could have been, or would come into it with something that was. */
  readonly isAsked: (id: number) => boolean;
  /** It was there, and in the folder. */
  readonly then: (id: number, track: Track) => Where;
};

/** @throws AppError `not_found` */
function scopeOf(selection: Selection, loaded: Loaded): Scope {
  if (selection.within === null) {
    const then: Scope['then'] = (id, { from }) => (wasGone(selection, loaded, id, from) ? 'out' : 'in');
    return { loaded, folder: null, isAsked: () => true, then };
  }
  const { folder, position } = selection.within;
  if (wasGone(selection, loaded, folder.id, position + 1)) throw new AppError('not_found', 'the folder was not there then');
  const then = whereTo(
    (id) => id === folder.id,
    (id) => aboveBefore(selection, loaded, id, position + 1),
  );
  // What comes back into the folder brings along what was put into it elsewhere.
  const willBe = whereTo(
    (id) => then(id) === 'in',
    (id) => aboveNow(loaded, id),
  );
  return { loaded, folder, isAsked: (id) => willBe(id) !== 'out' || then(id) !== 'out', then };
}

function whereTo(isIn: (id: number) => boolean, aboveOf: (id: number) => Above): (id: number) => Where {
  const known = new Map<number, Where>();
  return (id) => {
    const way: number[] = [];
    let at: Above = id;
    for (; typeof at === 'number' && !known.has(at); at = aboveOf(at)) {
      if (isIn(at)) {
        known.set(at, 'in');
        break;
      }
      known.set(at, 'out'); // also ends the way should folders be in a ring
      way.push(at);
    }
    const where = typeof at === 'number' ? (known.get(at) ?? 'out') : at === 'unknown' ? 'unknown' : 'out';
    for (const each of way) known.set(each, where);
    return where;
  };
}

const lastName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function hasContent(node: AnyNode, row: Earlier): boolean {
  if (node.mode !== row.mode || node.mtimeUs !== row.mtime_us || node.target !== row.target) return false;
  if (row.digest === null) return node.digest === null;
  return node.size === row.size && node.digest?.equals(row.digest) === true;
}

/** Somebody has taken it back since. @param row undefined: it was not there */
function isAlready(node: AnyNode, row: Earlier | undefined): boolean {
  if (row === undefined || row.kind === DELETE) return node.deletedSeq !== null;
  const isPlaced = node.parent === row.parent && node.name === lastName(row.path);
  return node.deletedSeq === null && isPlaced && hasContent(node, row);
}

type Wanting = { readonly want: Want | null; readonly reason: BackConflict['reason'] | null };

function wantOf({ folder, loaded, then }: Scope, node: AnyNode, track: Track): Wanting {
  const row = track.before === null ? null : loaded.earlier.get(track.before);
  if (row === undefined) return { want: null, reason: 'unknown' };
  const { id } = node;
  if (row === null && node.parent === null) return { want: null, reason: null }; // of a root there is no row of how it began
  if (row === null || row.kind === DELETE) {
    return {
      want: node.deletedSeq === null ? { id, place: null, content: false, orGone: false, whole: folder !== null } : null,
      reason: null,
    };
  }
  const differs = !hasContent(node, row);
  const content = differs && row.thinned_at_ms === null;
  const reason = differs && !content ? 'thinned' : null;
  if (id === folder?.id || row.path === '/') return { want: { id, place: 'keep', content, orGone: false, whole: false }, reason };
  const where = then(id, track);
  if (row.parent === null || where === 'unknown') return { want: null, reason: 'unknown' };
  const isElsewhere = loaded.nodes.get(row.parent)?.space !== node.space; // what was deleted in a folder before that was shared stays behind
  if (isElsewhere) return { want: null, reason: where === 'in' || node.deletedSeq === null ? 'shared' : null };
  const name = lastName(row.path);
  const place = { parent: row.parent, name, key: foldName(name) };
  if (where === 'in') return { want: { id, place, content, orGone: false, whole: false }, reason };
  // It came into the folder since, or out of the trash with what it was in: it goes back to where it was, as it is.
  return { want: node.deletedSeq === null ? { id, place, content: false, orGone: true, whole: folder !== null } : null, reason: null };
}

/** What was brought back goes again with all that came with it, if nobody else changed anything in it since. */
async function wholeIfUntouched({ db }: BackReading, { tracks }: Selection, want: Want, { before, since }: Track): Promise<Want> {
  if ((want.place !== null && !want.orGone) || want.whole || before === null) return want;
  const { rows } = await sql<{ id: number }>`
    WITH RECURSIVE sub (id, kind) AS (
      SELECT n.id, n.kind FROM nodes n WHERE n.id = ${want.id}
      UNION ALL SELECT n.id, n.kind FROM sub JOIN nodes n ON n.parent = sub.id AND n.deleted_seq IS NULL)
    SELECT n.id FROM sub JOIN nodes n ON n.id = sub.id WHERE n.version > ${since}`.execute(db);
  return rows.every(({ id }) => tracks.get(id)?.isOpen === true) ? { ...want, whole: true } : want;
}

/** The folders that shared folders are in: who is in a space finds those in it too. */
function holdingMounts(view: View, nodes: ReadonlyMap<number, Node>): (node: Node) => boolean {
  const mounts = [...view.mounts.keys()];
  const pathOf = (node: Node): string | null => {
    if (node.parent === null) return view.byId.get(node.space)?.path.replace(/^\/$/, '') ?? null;
    const parent = nodes.get(node.parent);
    const above = parent === undefined ? null : pathOf(parent);
    return above === null ? null : `${above}/${node.name}`;
  };
  return (node) => {
    if (node.kind === KIND.mount) return true;
    if (mounts.length === 0 || node.kind !== KIND.folder) return false;
    const path = pathOf(node);
    return mounts.some((mounted) => path !== null && mounted.startsWith(`${path}/`));
  };
}

/** Everything that stands in the way, or could. */
async function knownFor({ store, db, view }: BackReading, { nodes }: Loaded, wants: readonly Want[]): Promise<Known[]> {
  const known = new Map<number, Known>();
  const stays = holdingMounts(view, nodes);
  const add = (node: Node, alive: boolean): void => {
    const { id, parent, name, key, kind } = node;
    if (!known.has(id)) known.set(id, { id, parent, name, key, isFolder: kind === KIND.folder, alive, stays: stays(node) });
  };
  for (const node of nodes.values()) add(node, node.deletedSeq === null);
  const spots = wants.flatMap(({ place }) => (place === null || place === 'keep' ? [] : [[place.parent, place.key]]));
  for (const node of await store.lookups.children(db, spots)) add(node, true);
  const leaving = wants.flatMap(({ id, place, orGone }) => ((place === null || orGone) && known.get(id)?.isFolder === true ? [[id]] : []));
  for (const node of await statements(store.database.dialect).childrenOf(db, leaving)) add(node, true);
  return [...known.values()];
}

function shownPlan(spaces: readonly SpacePlan[], conflicts: readonly BackConflict[]): BackPlan {
  const counts: Record<Step['kind'], number> = { delete: 0, move: 0, restore: 0, content: 0 };
  const steps: BackStep[] = [];
  const hash = createHash('sha256');
  for (const plan of spaces) {
    for (const step of plan.steps) {
      counts[step.kind] += 1;
      const node = plan.nodes.get(step.id);
      const row = step.withContent ? plan.earlier.get(step.id) : undefined;
      hash.update(`${JSON.stringify([plan.space.id, step, node?.version, row?.seq])}\n`);
      steps.push(shownStep(plan.space, step, node, row));
    }
  }
  for (const { path, reason } of conflicts) hash.update(`${JSON.stringify([path, reason])}\n`);
  return { digest: hash.digest('hex'), counts, steps, conflicts };
}

function shownStep(space: SpaceView, step: Step, node: AnyNode | undefined, row: Earlier | undefined): BackStep {
  const fromPath = step.fromPath === null ? null : asSeen(space, step.fromPath);
  const entryKind = row === undefined ? (ENTRY_KINDS[node?.kind ?? KIND.file] as EntryKind) : kindOfRow(row);
  const path = asSeen(space, step.path === '' ? '/' : step.path);
  return { kind: step.kind, path, fromPath, entryKind, size: row?.size ?? node?.size ?? 0 };
}
