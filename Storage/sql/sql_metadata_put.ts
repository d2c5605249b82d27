import { AppError } from '../../Models/errors.ts';
import type { Base, ChunkRef, OperationResult } from '../../Models/operations.ts';
import { type Batch, done, holdsMounts, madeFolder, newFolder, pathInSpace, requireEditor, unchanged } from './sql_metadata_batch.ts';
import type { Content, Prepared } from './sql_metadata_prepare.ts';
import { KIND, type Node } from './sql_metadata_schema.ts';
import type { FolderRef, Place } from './sql_metadata_tree.ts';

/** The operations that need nothing but what was loaded for the batch, so that thousands of them go out in a few statements. */

/** @throws AppError `version_stale` */
function checkBase(base: Base, existing: Node | null): void {
  if (base === 'any') return;
  if (base === 'absent' ? existing !== null : existing?.version !== base) {
    throw new AppError('version_stale', 'the entry changed since the version this is based on');
  }
}

/**
 * Of a mount too, whose place has a version in the home and whose content has one in its own space: readers are told either.
 * @throws AppError `version_stale`
 */
export function checkBaseOf(batch: Batch, base: Base, node: Node): void {
  const space = node.mount === null ? undefined : batch.view.byId.get(node.mount);
  if (space !== undefined && batch.tree.root(space).version === base) return;
  checkBase(base, node);
}

function encodeManifest(chunks: readonly ChunkRef[]): Buffer | null {
  if (chunks.length < 2) return null; // digest and size of the file say it all
  const bytes = Buffer.alloc(chunks.length * 36);
  chunks.forEach((chunk, i) => {
    bytes.set(chunk.digest, i * 36);
    bytes.writeUInt32BE(chunk.length, i * 36 + 32);
  });
  return bytes;
}

/** Where something would be written: the folder and what bears that name now. @throws AppError `not_a_folder`, `name_collides` */
function target(batch: Batch, place: Place): { folder: Node | null; existing: Node | null } {
  const folder = batch.tree.folder(place.parent as FolderRef, 'make');
  const existing = folder === null ? null : batch.tree.child(folder, place.key);
  if (existing !== null && existing.name !== place.name) {
    throw new AppError('name_collides', `"${place.name}" exists here under the name "${existing.name}"`);
  }
  return { folder, existing };
}

/** The number of chunks too: a file that holds the list of another one's chunks has that one's content id. */
function sameContent(node: Node, content: Content): boolean {
  const { kind, size, digest, chunks } = content;
  return node.kind === kind && node.size === size && node.chunkCount === chunks.length && node.digest?.equals(digest) === true;
}

function nodeFor(batch: Batch, place: Place, folder: Node, existing: Node | null, content: Content): Node {
  const { kind, size, mtimeUs, digest, mode, target: linkTarget, chunks } = content;
  if (existing !== null) {
    return Object.assign(existing, { kind, size, mtimeUs, digest, mode, target: linkTarget, chunkCount: chunks.length });
  }
  return {
    id: batch.nextId(),
    space: folder.space,
    parent: folder.id,
    name: place.name,
    key: place.key,
    kind,
    version: 0,
    size,
    mtimeUs,
    digest,
    mode,
    chunkCount: chunks.length,
    target: linkTarget,
    mount: null,
  };
}

export function applyPut(batch: Batch, { place, base, content }: Prepared & { kind: 'put' }, op: number): OperationResult {
  if (place.top !== null || place.parent === null) throw new AppError('not_a_file', `${place.path} is a folder`);
  const { space } = place.parent;
  requireEditor(space);
  const { folder, existing } = target(batch, place);
  if (folder === null && place.anchor !== null) throw new AppError('not_found', `no folder for ${place.path}`);
  if (existing?.kind === KIND.folder || existing?.kind === KIND.mount) throw new AppError('not_a_file', `${place.path} is a folder`);
  const same = existing !== null && sameContent(existing, content);
  if (same && existing.mtimeUs === content.mtimeUs && existing.mode === content.mode) return unchanged(existing);
  if (!same) {
    checkBase(base, existing);
    if (content.kind === KIND.file) {
      const { size } = content;
      batch.allowance.take(space, { name: place.name, size, growth: size - (existing?.size ?? 0) });
    }
    batch.chunkUse.claim(space.id, content.chunks);
  }
  const parent = folder ?? madeFolder(batch, place.parent);
  const node = nodeFor(batch, place, parent, existing, content);
  const kind = content.kind === KIND.file ? 'put' : 'symlink';
  node.version = batch.ledger.record(space.id, { kind, node, path: pathInSpace(place), manifest: encodeManifest(content.chunks), op });
  if (existing === null) {
    batch.ledger.insert(node);
    batch.tree.put(parent, node.key, node);
  } else batch.ledger.update(node);
  return done(node);
}

export function applyMkdir(batch: Batch, operation: Prepared & { kind: 'mkdir' }, op: number): OperationResult {
  const { place, existingOk, mode, mtimeUs } = operation;
  if (place.parent !== null && place.top === null) requireEditor(place.parent.space);
  const { folder, existing } = place.top === null ? target(batch, place) : { folder: null, existing: batch.tree.root(place.top.space) };
  if (existing !== null) {
    if (!existingOk) throw new AppError('already_exists', `${place.path} exists`);
    if (existing.kind !== KIND.folder) throw new AppError('not_a_folder', `${place.path} is not a folder`);
    return setAttributes(batch, place, existing, { mode: mode ?? existing.mode, mtimeUs: mtimeUs ?? existing.mtimeUs, op });
  }
  const parent = folder ?? madeFolder(batch, place.parent as FolderRef);
  return done(newFolder(batch, parent, { name: place.name, key: place.key, path: pathInSpace(place), op, mode, mtimeUs }));
}

type Attributes = { readonly mode: number; readonly mtimeUs: number; readonly op: number };

function setAttributes(batch: Batch, place: Place, folder: Node, { mode, mtimeUs, op }: Attributes): OperationResult {
  if (folder.mode === mode && folder.mtimeUs === mtimeUs) return unchanged(folder);
  const { space } = (place.top ?? place.parent) as FolderRef;
  requireEditor(space);
  Object.assign(folder, { mode, mtimeUs });
  const path = place.top === null ? pathInSpace(place) : '/';
  folder.version = batch.ledger.record(space.id, { kind: 'attributes', node: folder, path, op });
  batch.ledger.update(folder);
  return done(folder);
}

/** @throws AppError `not_empty` */
export function checkEmpty(batch: Batch, folder: Node): void {
  if (!batch.tree.isEmpty(folder)) throw new AppError('not_empty', 'something is in the folder');
}

/** Of anything but a mount. What is below a deleted folder keeps its rows: it cannot be reached, and comes back whole with the folder. */
export function applyDelete(batch: Batch, { place, base, onlyEmpty }: Prepared & { kind: 'delete' }, op: number): OperationResult {
  if (place.parent === null) throw new AppError('path_invalid', 'the root folder cannot be deleted');
  const node = batch.tree.at(place);
  if (node === null) throw new AppError('not_found', `nothing at ${place.path}`);
  requireEditor(place.parent.space);
  checkBase(base, node);
  if (onlyEmpty && node.kind === KIND.folder) checkEmpty(batch, node);
  if (holdsMounts(batch.view, place.path)) {
    throw new AppError('forbidden', 'the folder holds shared folders: leave or delete those first');
  }
  if (node.kind === KIND.file) batch.allowance.release(place.parent.space, node.size);
  tombstone(batch, place, node, op);
  return done(node);
}

export function tombstone(batch: Batch, place: Place, node: Node, op: number | null): void {
  const gone: Node = { ...node, size: 0, digest: null, target: null };
  node.version = batch.ledger.record(node.space, { kind: 'delete', node: gone, path: pathInSpace(place), op });
  batch.ledger.remove(node, node.version);
  const folder = batch.tree.folder(place.parent as FolderRef, 'seek');
  if (folder !== null) batch.tree.put(folder, node.key, null);
}
