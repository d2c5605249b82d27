import { AppError } from '../../Models/errors.ts';
import type { ChunkRef, OperationResult } from '../../Models/operations.ts';
import type { BulkQuery } from '../bulk.ts';
import type { Database } from '../database.ts';
import type { Principal, StoredChunk } from '../metadata.ts';
import type { TouchedNow } from '../touched.ts';
import type { Allowance } from './sql_metadata_allowance.ts';
import { type ChunkPlace, type Chunks, chunkValues, digestKey, type Packs, placeOf, type ReadableChunk } from './sql_metadata_chunks.ts';
import type { Ids } from './sql_metadata_ids.ts';
import type { Ledger, LedgerStatements } from './sql_metadata_ledger.ts';
import { EDITOR, folderNode, type MetadataSchema, type Node, type Rows } from './sql_metadata_schema.ts';
import type { FolderRef, Lookups, Place, Tree } from './sql_metadata_tree.ts';
import type { SpaceView, WriterView } from './sql_metadata_view.ts';

/** What the parts of the SQL metadata share: the database and the statements made once for it. */
export type Store = {
  readonly database: Database<MetadataSchema>;
  /** What this transaction has touched so far. */
  readonly touchedBy: (trx: object) => TouchedNow;
  readonly ids: Ids;
  readonly packs: Packs;
  readonly chunks: Chunks;
  readonly lookups: Lookups;
  readonly ledger: LedgerStatements;
  readonly manifests: BulkQuery<ManifestRow>;
  readonly now: () => number; // ms
};
export type ManifestRow = { readonly space: number; readonly version: number; readonly manifest: Buffer };

/** The chunks that the puts of one transaction may refer to: those that came with it and those the caller can read. */
export type ChunkUse = {
  /** Looks up, ahead of use, what did not come with the batch. */
  load(refs: Iterable<ChunkRef>): Promise<void>;
  /** Lets the members of the space read these chunks, all or none of them. @throws AppError `chunk_missing`, `length_mismatch` */
  claim(space: number, refs: readonly ChunkRef[]): void;
};

export function openChunkUse(
  store: Store,
  trx: Rows,
  scope: { view: WriterView; ledger: Pick<Ledger, 'addChunk'>; arrived: readonly StoredChunk[] },
): ChunkUse {
  const { ledger, view } = scope;
  const home = view.home.id;
  const arrived = new Map<string, ChunkPlace>();
  const found = new Map<string, ReadableChunk | null>();
  for (const chunk of scope.arrived) {
    const place = placeOf(store.packs, chunk);
    arrived.set(digestKey(chunk.digest), place);
    ledger.addChunk(chunkValues(chunk.digest, home, place));
  }
  return {
    async load(refs) {
      const wanted: Uint8Array[] = [];
      for (const { digest } of refs) {
        const key = digestKey(digest);
        if (arrived.has(key) || found.has(key)) continue;
        found.set(key, null);
        wanted.push(digest);
      }
      if (wanted.length === 0) return;
      for (const [key, chunk] of await store.chunks.readable(trx, view, wanted)) found.set(key, chunk);
    },
    claim(space, refs) {
      const keys = refs.map(({ digest, length }) => {
        const key = digestKey(digest);
        const place = arrived.get(key) ?? found.get(key)?.place;
        if (place === undefined) throw new AppError('chunk_missing', 'the file refers to a chunk that was not sent');
        if (place.length !== length) throw new AppError('length_mismatch', 'a chunk has another length than the file says');
        return key;
      });
      for (const [i, key] of keys.entries()) {
        const own = arrived.get(key);
        const known = found.get(key);
        const place = own ?? known?.place;
        if (place === undefined || (own !== undefined && space === home) || known?.spaces.includes(space)) continue;
        known?.spaces.push(space);
        ledger.addChunk(chunkValues((refs[i] as ChunkRef).digest, space, place));
      }
    },
  };
}

/** Everything an operation needs while its transaction is open. */
export type Batch = {
  readonly store: Store;
  readonly trx: Rows;
  readonly principal: Principal;
  readonly nowMs: number;
  readonly view: WriterView;
  readonly tree: Tree;
  readonly ledger: Omit<Ledger, 'finish'>;
  readonly allowance: Allowance;
  readonly chunkUse: ChunkUse;
  readonly nextId: () => number;
  /** Makes sure that `nextId` can be called so many times. */
  readonly provideIds: (count: number) => Promise<void>;
  /** Flushes and closes the books. @throws AppError `quota_exceeded` if all this together is too much */
  readonly finish: () => Promise<void>;
};

export function requireEditor(space: SpaceView): void {
  if (space.role < EDITOR) throw new AppError('forbidden', 'you may read this shared folder, not change it');
}

export function done(node: Node): OperationResult {
  return { status: 'done', nodeId: node.id, version: node.version };
}

export function unchanged(node: Node): OperationResult {
  return { status: 'unchanged', nodeId: node.id, version: node.version };
}

/** The path of a place from the root of the space it is in. */
export function pathInSpace(place: Place): string {
  const parent = place.parent as FolderRef;
  return parent.path === '/' ? `/${place.name}` : `${parent.path}/${place.name}`;
}

/** @returns true if a mount of the caller is below the path */
export function holdsMounts(view: WriterView, path: string): boolean {
  for (const mounted of view.mounts.keys()) if (mounted.startsWith(`${path}/`)) return true;
  return false;
}

type NewFolder = {
  readonly name: string;
  readonly key: string;
  readonly path: string;
  readonly op: number | null;
  readonly mode: number | null;
  readonly mtimeUs: number | null;
};

export function newFolder(batch: Batch, parent: Node, place: NewFolder): Node {
  const { name, key, mode, mtimeUs } = place;
  const node = folderNode({ id: batch.nextId(), space: parent.space, parent: parent.id, name, key }, { nowMs: batch.nowMs });
  node.mode = mode ?? node.mode;
  node.mtimeUs = mtimeUs ?? node.mtimeUs;
  node.version = batch.ledger.record(node.space, { kind: 'mkdir', node, path: place.path, op: place.op });
  batch.ledger.insert(node);
  batch.tree.put(parent, node.key, node);
  batch.tree.addFresh(node);
  return node;
}

/** The folder, made with those above it where missing. Whoever calls has checked the way with `tree.folder(ref, 'make')`. */
export function madeFolder(batch: Batch, ref: FolderRef): Node {
  if (ref.parent === null) return batch.tree.root(ref.space);
  const parent = madeFolder(batch, ref.parent);
  const { name, key, path } = ref;
  return batch.tree.child(parent, key) ?? newFolder(batch, parent, { name, key, path, op: null, mode: null, mtimeUs: null });
}
