import { sql } from 'kysely';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { OperationResult } from '../../Models/operations.ts';
import { type Batch, done, holdsMounts, pathInSpace, requireEditor, unchanged } from './sql_metadata_batch.ts';
import { copySubtree } from './sql_metadata_copy.ts';
import { settle } from './sql_metadata_members.ts';
import type { Prepared } from './sql_metadata_prepare.ts';
import { checkBaseOf, tombstone } from './sql_metadata_put.ts';
import { KIND, type Node } from './sql_metadata_schema.ts';
import type { FolderRef, Place } from './sql_metadata_tree.ts';

/** The node that bears the place's name: for a mounted space the mount itself. */
function source(batch: Batch, place: Place): { folder: Node; node: Node } {
  if (place.parent === null) throw new AppError('path_invalid', 'the root folder cannot be moved or copied');
  const folder = batch.tree.folder(place.parent, 'seek');
  const node = folder === null ? null : batch.tree.child(folder, place.key);
  if (folder === null || node === null || node.name !== place.name) throw new AppError('not_found', `nothing at ${place.path}`);
  return { folder, node };
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Where it goes. @throws AppError `not_found`, `not_a_folder`, `already_exists`, `name_collides`, `forbidden`, `folder_into_itself` */
function destination(batch: Batch, { from, to }: Prepared & { kind: 'move' | 'copy' }, moving: Node | null): Node {
  if (to.parent === null) throw new AppError('path_invalid', 'the root folder cannot be the target of this');
  const folder = batch.tree.folder(to.parent, 'make');
  if (folder === null) throw new AppError('not_found', 'the folder to put it in does not exist');
  requireEditor(to.parent.space);
  const existing = batch.tree.child(folder, to.key);
  if (existing !== null && existing !== moving) {
    if (existing.name !== to.name) throw new AppError('name_collides', `"${to.name}" exists here under the name "${existing.name}"`);
    throw new AppError('already_exists', `${to.path} exists`);
  }
  if (to.path !== from.path && isWithin(to.path, from.path)) throw new AppError('folder_into_itself', 'a folder cannot go into itself');
  return folder;
}

const depthOf = (path: string): number => path.split('/').length - 1;

/** Nothing below may get a path that is too deep or too long to be named. @throws AppError `path_invalid` */
export async function checkReach(batch: Batch, node: Node, from: { readonly path: string }, to: { readonly path: string }): Promise<void> {
  const deeper = depthOf(to.path) - depthOf(from.path);
  const longer = Buffer.byteLength(to.path) - Buffer.byteLength(from.path);
  if ((node.kind !== KIND.folder && node.kind !== KIND.mount) || (deeper <= 0 && longer <= 0)) return;
  const { rows } = await sql<{ depth: number; bytes: number }>`
    WITH RECURSIVE sub (id, depth, bytes) AS (
      SELECT COALESCE(s.root, n.id), 0, 0 FROM nodes n LEFT JOIN spaces s ON s.id = n.mount WHERE n.id = ${node.id}
      UNION ALL SELECT COALESCE(s.root, n.id), sub.depth + 1, sub.bytes + 1 + octet_length(n.name) FROM sub JOIN nodes n
        ON n.parent = sub.id AND n.kind IN (1, 3) AND n.deleted_seq IS NULL LEFT JOIN spaces s ON s.id = n.mount)
    SELECT max(depth) AS depth, max(bytes) AS bytes FROM sub`.execute(batch.trx);
  const below = rows[0] ?? { depth: 0, bytes: 0 };
  const bytes = Buffer.byteLength(to.path) + below.bytes + 1 + LIMITS.nameBytesMax;
  if (depthOf(to.path) + below.depth + 1 > LIMITS.pathDepthMax || bytes > LIMITS.pathBytesMax) {
    throw new AppError('path_invalid', 'paths inside the folder would become too deep or too long');
  }
}

async function manifestOf(batch: Batch, node: Node): Promise<Buffer | null> {
  if (node.chunkCount < 2) return null;
  const [row] = await batch.store.manifests(batch.trx, [[node.space, node.version]]);
  if (row === undefined) throw new AppError('corrupt', 'a manifest is missing');
  return row.manifest;
}

/**
 * A shared folder goes into another one, or out of it: those who are members around it then are members of it. Nothing in it is touched.
 * @throws AppError `forbidden` for anybody but its first owner
 */
async function moveMount(
  batch: Batch,
  { from, to }: Prepared & { kind: 'move' },
  { node, folder, op }: { node: Node; folder: Node; op: number },
): Promise<OperationResult> {
  const space = node.mount === null ? undefined : batch.view.byId.get(node.mount);
  if (space?.ownerId !== batch.principal.userId) {
    throw new AppError('forbidden', 'only its first owner puts a shared folder into another one, or takes it out');
  }
  await batch.ledger.lock([space.id]);
  const shown: Node = { ...node, id: space.root, kind: KIND.folder };
  batch.ledger.record(node.space, { kind: 'leave', node: shown, path: pathInSpace(from) });
  const moved: Node = { ...node, space: folder.space, parent: folder.id, name: to.name, key: to.key };
  moved.version = batch.ledger.record(folder.space, {
    kind: 'join',
    node: { ...shown, parent: folder.id, version: 0 },
    path: pathInSpace(to),
    op,
  });
  batch.ledger.update(moved);
  await settle(batch, space.id, { name: to.name });
  return done({ ...shown, version: moved.version });
}

/** @returns the result, and whether mounts changed their path, so that the view must be read again */
export async function applyMove(
  batch: Batch,
  operation: Prepared & { kind: 'move' },
  op: number,
): Promise<{ result: OperationResult; mountsMoved: boolean }> {
  const { from, to } = operation;
  await batch.ledger.flush(); // names given up by earlier operations are free in the database too
  const { folder: oldFolder, node } = source(batch, from);
  const fromSpace = (from.parent as FolderRef).space;
  requireEditor(fromSpace);
  const folder = destination(batch, operation, node);
  const nodeId = batch.view.byId.get(node.mount ?? 0)?.root ?? node.id; // as everybody calls it
  if (to.path === from.path) return { result: unchanged({ ...node, id: nodeId }), mountsMoved: false };
  checkBaseOf(batch, operation.base, node);
  await checkReach(batch, node, from, to);
  const toSpace = (to.parent as FolderRef).space;
  const mountsMoved = node.kind === KIND.mount || holdsMounts(batch.view, from.path);
  if (fromSpace.id !== toSpace.id) {
    if (node.kind === KIND.mount) return { result: await moveMount(batch, operation, { node, folder, op }), mountsMoved };
    if (mountsMoved) throw new AppError('forbidden', 'the folder holds shared folders: they must be moved by themselves');
    if (fromSpace.ownerId !== toSpace.ownerId) await batch.allowance.takeTree(toSpace, node.id);
    if (node.kind === KIND.file) batch.allowance.checkName(to.name);
    const made = await copySubtree(batch, { source: node, folder, place: to, op });
    tombstone(batch, from, node, null);
    return { result: done(made), mountsMoved: false };
  }
  if (node.kind === KIND.file && to.name !== from.name) batch.allowance.checkName(to.name);
  const manifest = await manifestOf(batch, node);
  const oldKey = node.key;
  Object.assign(node, { parent: folder.id, name: to.name, key: to.key });
  const entry = { kind: 'move', node: { ...node, id: nodeId }, path: pathInSpace(to), fromPath: pathInSpace(from), manifest, op } as const;
  node.version = batch.ledger.record(node.space, entry);
  batch.ledger.update(node);
  batch.tree.put(oldFolder, oldKey, null);
  batch.tree.put(folder, to.key, node);
  return { result: done({ ...node, id: nodeId }), mountsMoved };
}

export async function applyCopy(batch: Batch, operation: Prepared & { kind: 'copy' }, op: number): Promise<OperationResult> {
  const { from, to } = operation;
  await batch.ledger.flush(); // the copy reads what earlier operations of the batch wrote
  if (from.parent === null) throw new AppError('path_invalid', 'the root folder cannot be moved or copied');
  const node = from.top === null ? source(batch, from).node : batch.tree.root(from.top.space);
  const folder = destination(batch, operation, null);
  await checkReach(batch, node, from, to);
  if (node.kind === KIND.file) batch.allowance.checkName(to.name);
  await batch.allowance.takeTree((to.parent as FolderRef).space, node.id);
  return done(await copySubtree(batch, { source: node, folder, place: to, op }));
}
