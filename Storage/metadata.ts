import type { NoticeDetails, NoticeKind } from '../Models/notices.ts';
import type { Entry, Operation, OperationResult } from '../Models/operations.ts';
import type { FeedEnd, FeedPart } from '../Models/tree_frames.ts';
import type { ChunkLocation } from './chunk_store.ts';
import type { Principal } from './principal.ts';
import type { Sharing } from './sharing.ts';

export type { Principal };

export type StoredChunk = { readonly digest: Buffer; readonly location: ChunkLocation };

/**
 * Names a series of operations so that repeating them is safe. With `resumed`, an operation whose number in this stream
 * was committed before gets its stored result instead of running again; without it nothing is looked up.
 */
export type StreamPosition = { readonly id: Buffer /* 16 bytes */; readonly firstOperation: number; readonly resumed: boolean };

/** A row of a folder listing, kept flat because a hundred thousand of them pass through here. */
export type ListedEntry = Omit<Entry, 'path'>;
export type FolderPage = { readonly path: string; readonly entries: readonly ListedEntry[]; readonly last: boolean };

export type Manifest = {
  readonly path: string;
  readonly version: number;
  readonly size: number;
  readonly digest: Buffer;
  readonly chunks: readonly { readonly digest: Buffer; readonly length: number }[];
};

export type SortKey = 'name' | 'size' | 'mtime';
export type PageQuery = {
  readonly path: string;
  /** Substring of the name, compared folded; with it the whole subtree is searched (mounted spaces included), else one folder is listed. */
  readonly search: string | null;
  readonly sort: SortKey;
  readonly descending: boolean;
  readonly after: string | null; // opaque, from the previous page
  readonly limit: number;
};
export type Page = { readonly entries: readonly Entry[]; readonly next: string | null };

/** `share`, `join`, `leave`: a folder became a shared one, a shared one came to be here, or is not here any more. `members`: ask who shares it and how. */
export type ChangeKind =
  | 'put'
  | 'symlink'
  | 'mkdir'
  | 'move'
  | 'copy'
  | 'delete'
  | 'share'
  | 'join'
  | 'leave'
  | 'import'
  | 'attributes'
  | 'restore' // something that was deleted is there again, with all that was in it
  | 'members'
  | NoticeKind;
export type Change = {
  readonly cursor: string; // position just behind this change
  readonly space: number;
  readonly sequence: number;
  readonly kind: ChangeKind;
  readonly path: string; // as the reader sees it now below its own mount of the space, with the names of the time of the change
  readonly fromPath: string | null; // of a move
  readonly nodeId: number;
  readonly version: number;
  readonly size: number;
  readonly digest: Buffer | null;
  readonly user: string; // name
  readonly device: string;
  readonly atMs: number;
  /** Of a notice, which is about no node; its path is the root. Of what somebody else caused, the device is not told. */
  readonly details?: NoticeDetails;
};

/**
 * Spaces, nodes, journal, versions and manifests. Every path is the caller's own: it begins in the caller's home space and
 * goes through the caller's mounts, so nothing of other users can even be named. What the caller cannot read does not exist.
 * All methods throw AppError; `not_found`, `path_invalid`, `name_invalid`, `not_a_folder` wherever a path is given.
 * Contract: Storage/testing/metadata_contract.ts, run on SQLite and on PostgreSQL.
 */
export interface Metadata extends Sharing {
  /** Changes when the database was restored from a backup. 32 hex digits. */
  readonly epoch: string;

  /** Records chunks that are durable but not yet part of a file, so that an interrupted upload goes on where it stopped. */
  recordChunks(principal: Principal, chunks: readonly StoredChunk[]): Promise<void>;

  /**
   * One transaction: `chunks` (already durable) and then each operation in order; a refused operation leaves no trace and does
   * not hold up the others. When it resolves, everything done is durable.
   * Refusals: `not_found`, `forbidden`, `version_stale`, `already_exists`, `name_collides`, `chunk_missing`, `not_a_folder`,
   * `not_a_file`, `folder_into_itself`, `digest_mismatch` (digest is not that of the chunks), `length_mismatch`, `path_invalid`, `name_invalid`, `too_large`.
   * A put whose content, mtime and mode equal what is there is `unchanged`; equal content is never `version_stale`.
   */
  commit(
    principal: Principal,
    stream: StreamPosition,
    chunks: readonly StoredChunk[],
    operations: readonly Operation[],
  ): Promise<OperationResult[]>;

  /** For each digest: may the caller skip sending it? True only for chunks in spaces that the caller can read. */
  have(principal: Principal, digests: readonly Buffer[]): Promise<boolean[]>;
  /** Where the chunks lie; `null` for what the caller cannot read. Same order as asked. */
  locate(principal: Principal, digests: readonly Buffer[]): Promise<(ChunkLocation | null)[]>;

  stat(principal: Principal, paths: readonly string[]): Promise<(Entry | null)[]>;
  /** Entries of folders, in the order asked, pages of bounded size; a missing folder gives one page with `entries: []`. */
  readFolders(principal: Principal, paths: readonly string[]): AsyncIterable<FolderPage>;
  /** Paths of all folders below `path`, itself first, each before what is in it; pages of bounded size. */
  walkFolders(principal: Principal, path: string): AsyncIterable<readonly string[]>;
  /** Manifests of files; `null` where there is no file. */
  manifests(principal: Principal, paths: readonly string[]): Promise<(Manifest | null)[]>;
  /** The chunks that the file at `path` had in this version; none if it is not one of its versions, or no longer told of. */
  olderChunks(principal: Principal, path: string, version: number): Promise<Manifest['chunks']>;
  page(principal: Principal, query: PageQuery): Promise<Page>;

  changes(
    principal: Principal,
    query: { after: string | null; limit: number },
  ): Promise<{ changes: Change[]; cursor: string; more: boolean }>;

  /**
   * The folder `root` (a path, also an anchored one) as it has to be kept the same elsewhere: without a cursor it and all below it, parents first;
   * with one the nodes that changed behind it, each as it is now, present or gone, `root` among them. Pages of bounded size, then the end with
   * the next cursor. What changes while this is read is in the next feed at the latest.
   * @throws AppError `not_found`, `not_a_folder`; `cursor_invalid` for a cursor that is none, of another user, or of a history
   * that the server went back behind; `busy` when folders were moved about faster than they could be listed
   */
  feed(principal: Principal, query: { root: string; cursor: string | null }): AsyncIterable<FeedPart | FeedEnd>;

  /**
   * The cursor past all that this stream of the caller's did since `cursor`, as the next feed would end with it: the results told all of that.
   * `null` if anything else is behind `cursor`, or it is not true.
   */
  cursorPast(principal: Principal, cursor: string, stream: Buffer): Promise<string | null>;

  /** Cheap proof that the database answers; throws if it does not. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
