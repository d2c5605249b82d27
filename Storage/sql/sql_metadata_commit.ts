import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { ChunkRef, Operation, OperationResult } from '../../Models/operations.ts';
import type { Principal, StoredChunk, StreamPosition } from '../metadata.ts';
import { openAllowance } from './sql_metadata_allowance.ts';
import { type Anchors, findAnchors, placesFrom, spelledOut } from './sql_metadata_anchors.ts';
import { type Batch, openChunkUse, type Store } from './sql_metadata_batch.ts';
import { openLedger } from './sql_metadata_ledger.ts';
import { endMembership } from './sql_metadata_members.ts';
import { applyCopy, applyMove } from './sql_metadata_move.ts';
import { recordNotice, type User } from './sql_metadata_notice.ts';
import { type Prepared, prepare } from './sql_metadata_prepare.ts';
import { applyDelete, applyMkdir, applyPut } from './sql_metadata_put.ts';
import { KIND, type Node, type Rows } from './sql_metadata_schema.ts';
import { openPathBook, openTree, type Place } from './sql_metadata_tree.ts';
import { homesOf, viewForWriting, type WriterView } from './sql_metadata_view.ts';

/** For rows of `commits` and the few nodes of sharing; what a batch makes is counted. */
export const SPARE_IDS = 64;
/** For what is told to everybody in a shared folder, and changed in their homes. */
export const SHARING_IDS = 4 * SPARE_IDS + LIMITS.membersPerSpaceMax;

export type CommitRequest = {
  readonly principal: Principal;
  readonly stream: StreamPosition | null;
  readonly chunks: readonly StoredChunk[];
  readonly operations: readonly Operation[];
};

/** See Metadata.commit. */
export async function commit(store: Store, request: CommitRequest): Promise<OperationResult[]> {
  const { chunks, operations } = request;
  if (operations.length > LIMITS.batchOperationsMax)
    throw new AppError('too_large', `a batch has at most ${LIMITS.batchOperationsMax} operations`);
  await store.packs.register(new Set(chunks.map((chunk) => chunk.location.pack)));
  const ends = operations.some(({ kind }) => kind === 'delete'); // of a shared folder, it may be
  await store.ids.reserve(operations.length * 2 + (ends ? SHARING_IDS : SPARE_IDS));
  return store.database.write((trx) => inTransaction(store, trx, request));
}

async function inTransaction(store: Store, trx: Rows, request: CommitRequest): Promise<OperationResult[]> {
  const batch = await openBatch(store, trx, { ...request, paths: request.operations.flatMap(pathsOf) });
  const results = await storedResults(trx, request);
  await run(batch, request, results);
  await batch.finish();
  return results as OperationResult[];
}

function pathsOf(op: Operation): string[] {
  return 'path' in op ? [op.path] : [op.from, op.to];
}

/** The spaces that paths lead into, found without reading nodes. */
function spacesOf(view: WriterView, paths: readonly string[]): number[] {
  if (view.mounts.size === 0) return [view.home.id];
  const touched = new Set<number>([view.home.id]);
  for (const path of paths) {
    for (const [mounted, space] of view.mounts) {
      if (path === mounted || path.startsWith(`${mounted}/`)) touched.add(space.id);
    }
  }
  return [...touched];
}

type BatchScope = Omit<CommitRequest, 'operations'> & {
  readonly paths: readonly string[];
  readonly reason?: 'rewind' | 'undo';
  readonly told?: readonly User[];
};

/**
 * Takes the locks and reads what the caller can reach.
 * @param told who is going to get notices, as far as that is known: their homes are locked together with the rest, in one order
 */
export async function openBatch(store: Store, trx: Rows, scope: BatchScope): Promise<Batch> {
  const { principal, stream } = scope;
  const nowMs = store.now();
  const deps = { ids: store.ids, nowMs };
  const told = scope.told ?? [];
  const homes = told.length === 0 ? new Map<string, number>() : await homesOf(trx, [principal, ...told], deps);
  let view = await viewForWriting(trx, principal, deps);
  let fresh = await store.ids.take(trx, SPARE_IDS);
  let used = 0;
  const nextId = (): number => {
    const id = fresh[used];
    if (id === undefined) throw new Error('more ids were used than asked for');
    used += 1;
    return id;
  };
  const provideIds = async (count: number): Promise<void> => {
    if (fresh.length - used >= count + SPARE_IDS) return;
    fresh = [...fresh.slice(used), ...(await store.ids.take(trx, count + SPARE_IDS))];
    used = 0;
  };
  const { dialect } = store.database;
  const ledger = openLedger(trx, {
    dialect,
    statements: store.ledger,
    chunks: store.chunks,
    principal,
    stream: stream?.id ?? null,
    reason: scope.reason ?? null,
    nowMs,
    nextId,
    touched: store.touchedBy(trx).spaces,
  });
  if (homes.size > 1) await provideIds(homes.size);
  await ledger.lock([...spacesOf(view, scope.paths), ...homes.values()]);
  if (dialect === 'postgres') view = await viewForWriting(trx, principal, deps); // while it waited for a lock, mounts may have changed
  const chunkUse = openChunkUse(store, trx, { view, ledger, arrived: scope.chunks });
  const allowance = openAllowance(trx, dialect, principal);
  const finish = async (): Promise<void> => {
    await ledger.flush();
    const written = new Set(ledger.written());
    const warnings = await allowance.settle(view.spaces.filter(({ id }) => written.has(id)));
    for (const { userId, userName, ...details } of warnings) {
      await recordNotice({ trx, ledger, store, nowMs }, { userId, userName }, { kind: 'quota', details });
    }
    await ledger.finish();
  };
  return {
    store,
    trx,
    principal,
    nowMs,
    view,
    tree: openTree(trx, store.lookups),
    ledger,
    allowance,
    chunkUse,
    nextId,
    provideIds,
    finish,
  };
}

/** A transaction on a place that the caller names, outside any stream. */
export async function writeAt<Result>(
  store: Store,
  principal: Principal,
  { path, told = [] }: { readonly path: string; readonly told?: readonly User[] },
  body: (batch: Batch, place: Place) => Promise<Result>,
): Promise<Result> {
  await store.ids.reserve(SHARING_IDS);
  return store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream: null, chunks: [], paths: [path], told });
    const place = openPathBook(batch.view).place(path);
    await batch.tree.load([place]);
    const result = await body(batch, place);
    await batch.finish();
    return result;
  });
}

/** Results by index of what this stream did before. */
async function storedResults(trx: Rows, { principal, stream, operations }: CommitRequest): Promise<(OperationResult | undefined)[]> {
  const results: (OperationResult | undefined)[] = Array.from({ length: operations.length });
  if (stream === null || !stream.resumed) return results;
  const rows = await trx
    .selectFrom('commits as c')
    .innerJoin('journal as j', (join) =>
      join.onRef('j.space', '=', 'c.space').on((e) => e.between('j.seq', e.ref('c.first_seq'), e.ref('c.last_seq'))),
    )
    .select(['j.op', 'j.node', 'j.seq'])
    .where('c.stream', '=', stream.id)
    .where('c.user_id', '=', principal.userId)
    .where('j.op', '>=', stream.firstOperation)
    .where('j.op', '<', stream.firstOperation + operations.length)
    .execute();
  for (const { op, node, seq } of rows) {
    results[(op as number) - stream.firstOperation] = { status: 'done', nodeId: node, version: seq };
  }
  return results;
}

type Step = { readonly index: number; readonly operation: Prepared | AppError };

function refused(error: unknown): OperationResult {
  if (!(error instanceof AppError) || FAILURES.has(error.code)) throw error;
  return { status: 'refused', code: error.code, message: error.message };
}
/** These are not about one operation: the whole transaction fails. */
const FAILURES: ReadonlySet<string> = new Set(['corrupt', 'storage_full', 'storage_unavailable', 'internal']);

function prepared(op: Operation, placeOf: (path: string) => Place): Prepared | AppError {
  try {
    return prepare(op, placeOf);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

function placesOf(operation: Prepared): Place[] {
  return 'place' in operation ? [operation.place] : [operation.from, operation.to];
}

/** Moves and copies, and whatever changes the caller's mounts, go one at a time; the others in runs. */
function goesAlone(operation: Prepared | AppError): boolean {
  if (operation instanceof AppError) return false;
  if (operation.kind === 'delete') return operation.place.top !== null && operation.place.parent !== null;
  return operation.kind === 'move' || operation.kind === 'copy';
}

/** Where the run that begins at `index` ends at the latest: before a move or copy that is still to be done, behind one that is its first. */
function endOfRun(operations: readonly Operation[], results: readonly (OperationResult | undefined)[], index: number): number {
  let begun = false;
  for (let i = index; i < operations.length; i += 1) {
    if (results[i] !== undefined) continue;
    const { kind } = operations[i] as Operation;
    if (kind === 'move' || kind === 'copy') return begun ? i : i + 1;
    begun = true;
  }
  return operations.length;
}

/** Where the anchors of these operations are, in spaces that are locked, so that they stay there until the operations are carried out. */
async function lockAnchors(batch: Batch, operations: readonly Operation[]): Promise<Anchors> {
  const paths = operations.flatMap(pathsOf).filter((path) => path.startsWith('@'));
  if (paths.length === 0) return new Map();
  await batch.ledger.flush(); // nodes are where earlier operations moved them
  for (;;) {
    const anchors = await findAnchors(batch.trx, batch.store.lookups, batch.view, paths);
    const spelled = paths.flatMap((path) => spelledOut(path, anchors) ?? []);
    const late = await batch.ledger.lock(spacesOf(batch.view, spelled));
    if (!late || batch.store.database.dialect === 'sqlite') return anchors;
  }
}

/** Fills `results` where they are still missing. */
async function run(opened: Batch, { stream, operations }: CommitRequest, results: (OperationResult | undefined)[]): Promise<void> {
  let batch = opened;
  let book = openPathBook(batch.view);
  const first = stream?.firstOperation ?? 0;
  for (let index = 0; index < operations.length; ) {
    const steps: Step[] = [];
    const end = endOfRun(operations, results, index);
    const placeOf = placesFrom(book, await lockAnchors(batch, operations.slice(index, end)));
    for (; index < end; index += 1) {
      if (results[index] !== undefined) continue;
      const operation = prepared(operations[index] as Operation, placeOf);
      const alone = goesAlone(operation);
      if (alone && steps.length > 0) break;
      steps.push({ index, operation });
      if (!alone) continue;
      index += 1;
      break;
    }
    await load(batch, steps);
    await batch.provideIds(steps.length + book.folderCount());
    const only = steps[0];
    if (only !== undefined && goesAlone(only.operation)) {
      const { result, mountsMoved } = await applyAlone(batch, only.operation as Prepared, first + only.index);
      results[only.index] = result;
      if (mountsMoved) {
        batch = await withNewView(batch, operations);
        book = openPathBook(batch.view);
      }
    } else for (const step of steps) results[step.index] = apply(batch, step.operation, first + step.index);
  }
}

async function load(batch: Batch, steps: readonly Step[]): Promise<void> {
  const places: Place[] = [];
  const refs: ChunkRef[] = [];
  for (const { operation } of steps) {
    if (operation instanceof AppError) continue;
    for (const place of placesOf(operation)) places.push(place);
    if (operation.kind === 'put') for (const ref of operation.content.chunks) refs.push(ref);
  }
  const starts = new Set(places.flatMap(({ anchor }) => anchor?.place ?? []));
  await batch.tree.load(starts.size === 0 ? places : [...places, ...starts]);
  for (const place of places) for (const ref of [place.parent, place.top]) if (ref !== null) await batch.allowance.load(ref.space);
  await countChildren(batch, steps);
  await batch.chunkUse.load(refs);
}

/** What `onlyEmpty` needs to know. */
async function countChildren(batch: Batch, steps: readonly Step[]): Promise<void> {
  const folders: Node[] = [];
  for (const { operation } of steps) {
    if (operation instanceof AppError || operation.kind !== 'delete' || !operation.onlyEmpty) continue;
    const node = batch.tree.at(operation.place);
    if (node?.kind === KIND.folder) folders.push(node);
  }
  if (folders.length === 0) return;
  await batch.ledger.flush();
  await batch.tree.countChildren(folders);
}

async function withNewView(batch: Batch, operations: readonly Operation[]): Promise<Batch> {
  await batch.ledger.flush();
  const view = await viewForWriting(batch.trx, batch.principal, { ids: batch.store.ids, nowMs: batch.nowMs });
  await batch.ledger.lock(spacesOf(view, operations.flatMap(pathsOf)));
  return { ...batch, view, tree: openTree(batch.trx, batch.store.lookups) };
}

/** An earlier operation of the run may have deleted the node, and put another one in its place. @throws AppError `not_found` */
function checkAnchors(batch: Batch, operation: Prepared): void {
  for (const place of placesOf(operation)) {
    if (!batch.tree.holdsAnchor(place)) throw new AppError('not_found', `nothing at @${place.anchor?.id}`);
  }
}

function apply(batch: Batch, operation: Prepared | AppError, op: number): OperationResult {
  if (operation instanceof AppError) return refused(operation);
  try {
    checkAnchors(batch, operation);
    switch (operation.kind) {
      case 'put':
        return applyPut(batch, operation, op);
      case 'mkdir':
        return applyMkdir(batch, operation, op);
      case 'delete':
        return applyDelete(batch, operation, op);
      default:
        throw new Error(`${operation.kind} goes alone`);
    }
  } catch (error) {
    return refused(error);
  }
}

async function applyAlone(batch: Batch, operation: Prepared, op: number): Promise<{ result: OperationResult; mountsMoved: boolean }> {
  try {
    checkAnchors(batch, operation);
    if (operation.kind === 'move') return await applyMove(batch, operation, op);
    if (operation.kind === 'copy') return { result: await applyCopy(batch, operation, op), mountsMoved: false };
    if (operation.kind === 'delete') return { result: await endMembership(batch, operation, op), mountsMoved: true };
    throw new Error(`${operation.kind} does not go alone`);
  } catch (error) {
    return { result: refused(error), mountsMoved: false };
  }
}
