import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import type { Step } from '../going_back.ts';
import type { BackCounts, BackRequest } from '../history.ts';
import type { Principal } from '../metadata.ts';
import { type AnyNode, type Earlier, makePlan, type SpacePlan } from './sql_history_plan.ts';
import { kindOfRow } from './sql_history_rows.ts';
import type { Batch, Store } from './sql_metadata_batch.ts';
import { openBatch, SPARE_IDS } from './sql_metadata_commit.ts';
import { checkReach } from './sql_metadata_move.ts';
import { ENTRY_KINDS, type Node } from './sql_metadata_schema.ts';
import { loadView } from './sql_metadata_view.ts';

/** Steps whose manifests are read together, and rows that are written together. */
const PAGE = 1000;

type Going = { readonly store: Store; readonly epoch: string; readonly principal: Principal };

/** See History.goBack. */
export async function goBack(
  { store, epoch, principal }: Going,
  request: BackRequest,
  digest: string,
): Promise<{ operation: string; counts: BackCounts }> {
  const { db } = store.database;
  const expected = await makePlan({ store, epoch, db, view: await loadView(db, principal.userId) }, request);
  checkSame(expected.shown.digest, digest); // before anybody is made to wait
  await store.ids.reserve(SPARE_IDS * 2);
  const stream = { id: randomBytes(16), firstOperation: 0, resumed: false };
  await store.database.write(async (trx) => {
    const batch = await openBatch(store, trx, { principal, stream, chunks: [], paths: [], reason: request.kind });
    await batch.ledger.lock(expected.spaces.map(({ space }) => space.id));
    const plan = await makePlan({ store, epoch, db: trx, view: batch.view }, request, expected.selections);
    checkSame(plan.shown.digest, digest);
    await batch.provideIds(plan.spaces.length);
    for (const one of plan.spaces) await carryOut(batch, one);
    await batch.finish();
  });
  return { operation: stream.id.toString('hex'), counts: expected.shown.counts };
}

/** @throws AppError `version_stale` */
export function checkSame(is: string, wanted: string): void {
  if (is !== wanted) throw new AppError('version_stale', 'something changed since the preview: look at it again');
}

/** Steps in their order. A name that was given up is free in the database before another takes it. */
async function carryOut(batch: Batch, { steps, nodes, earlier }: SpacePlan): Promise<void> {
  const { ledger } = batch;
  const left = new Set<string>();
  const own = new Map<number, number>(); // where a node's present content stands
  for (let at = 0; at < steps.length; at += PAGE) {
    const some = steps.slice(at, at + PAGE);
    const taken = some.map((step) => takeStep(step, nodes, earlier));
    const manifests = await manifestsOf(batch, taken, own);
    for (const each of taken) {
      const { step, node, row } = each;
      await checkDepth(batch, each);
      const spot = step.spot === null ? null : `${step.spot.parent}/${step.spot.key}`;
      if (spot !== null && left.has(spot)) {
        await ledger.flush();
        left.clear();
      }
      if (step.kind !== 'content') left.add(`${node.parent}/${node.key}`);
      write(batch, each, manifests.get(each) ?? null);
      if (row !== null) own.set(node.id, row.seq);
    }
    await ledger.flush();
    left.clear();
    await setImmediate();
  }
}

type Taken = { readonly step: Step; readonly node: AnyNode; readonly row: Earlier | null };

function takeStep(step: Step, nodes: ReadonlyMap<number, AnyNode>, earlier: ReadonlyMap<number, Earlier>): Taken {
  const node = nodes.get(step.id);
  const row = step.withContent ? earlier.get(step.id) : null;
  if (node === undefined || row === undefined) throw new Error('a step of what is not known');
  return { step, node, row };
}

/** Of files of several chunks. */
async function manifestsOf(batch: Batch, taken: readonly Taken[], own: Map<number, number>): Promise<Map<Taken, Buffer>> {
  const wanted = new Map<Taken, number>();
  for (const each of taken) {
    const { step, node, row } = each;
    if (step.kind === 'delete' || (row ?? { chunk_count: node.chunkCount }).chunk_count < 2) continue;
    const seq = row?.seq ?? own.get(node.id) ?? (await contentSeq(batch, node));
    if (row === null) own.set(node.id, seq);
    wanted.set(each, seq);
  }
  const found = await batch.store.manifests(
    batch.trx,
    Array.from(wanted, ([{ node }, seq]) => [node.space, seq]),
  );
  const bySeq = new Map(found.map(({ space, version, manifest }) => [`${space}:${version}`, manifest]));
  const manifests = new Map<Taken, Buffer>();
  for (const [each, seq] of wanted) {
    const manifest = bySeq.get(`${each.node.space}:${seq}`);
    if (manifest === undefined) throw new AppError('corrupt', 'a manifest is missing');
    manifests.set(each, manifest);
  }
  return manifests;
}

/** The row of a deletion has no content: that of the row before is what was deleted. */
async function contentSeq({ trx }: Batch, node: AnyNode): Promise<number> {
  if (node.deletedSeq === null) return node.version;
  const row = await trx
    .selectFrom('journal')
    .select('prev')
    .where('space', '=', node.space)
    .where('seq', '=', node.version)
    .executeTakeFirst();
  return row?.prev ?? node.version;
}

/** @throws AppError `path_invalid` */
async function checkDepth(batch: Batch, { step, node }: Taken): Promise<void> {
  if (step.spot !== null) await checkReach(batch, node, { path: step.fromPath ?? '/' }, { path: step.path });
}

const CONTENT_KIND = { file: 'put', symlink: 'symlink', folder: 'attributes' } as const;

function write({ ledger }: Batch, { step, node, row }: Taken, manifest: Buffer | null): void {
  const { path } = step;
  if (step.kind === 'delete') {
    const gone: Node = { ...node, size: 0, digest: null, target: null };
    node.version = ledger.record(node.space, { kind: 'delete', node: gone, path, op: null });
    ledger.remove(node, node.version);
    return;
  }
  if (step.spot !== null) Object.assign(node, step.spot);
  if (row !== null) Object.assign(node, contentOf(row));
  const kind = step.kind === 'content' ? CONTENT_KIND[row === null ? 'folder' : kindOfRow(row)] : step.kind;
  const fromPath = step.fromPath === null ? {} : { fromPath: step.fromPath };
  node.version = ledger.record(node.space, { kind, node, path: path === '' ? '/' : path, ...fromPath, manifest, op: null });
  ledger.update(node);
}

function contentOf(row: Earlier): Pick<Node, 'kind' | 'size' | 'mtimeUs' | 'digest' | 'mode' | 'target' | 'chunkCount'> {
  const kind = ENTRY_KINDS.indexOf(kindOfRow(row));
  return {
    kind,
    size: row.size,
    mtimeUs: row.mtime_us,
    digest: row.digest,
    mode: row.mode,
    target: row.target,
    chunkCount: row.chunk_count,
  };
}
